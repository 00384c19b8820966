//! A node that took writes freezes, is expelled, and believes in itself for some seconds after it thaws.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use mysql_retry::Event;
use mysql_retry_fixture::{Group, Recorded, failover::Load, ms};

use crate::{
    support::{Rights, SLACK, WATCH, lay_out, long_multi_scene, long_scene},
    user::User,
};

const DEADLINE: Duration = ms(20_000);

/// The callers of each user.
const CALLERS: u32 = 8;

/// Between two calls of a caller: the node has to catch up with them.
const PAUSE: Duration = ms(20);

/// Long enough to be expelled, and for another primary to be elected.
const FROZEN: Duration = ms(14_000);

/// Longer than the node takes to notice that it has been expelled.
const THAWED: Duration = ms(8_000);

/// Both users, and when each of them moved where.
struct Users {
    users: [User; 2],
    moves: Moves,
}

type Moves = Arc<Mutex<Vec<(Instant, String)>>>;

impl Users {
    fn new(group: &Group, names: [&'static str; 2], first: usize) -> Users {
        let moves = Moves::default();
        let [second, third] = group.others(first);
        let user = |name, rights| {
            let noted = moves.clone();
            let opts = |number| match rights {
                Rights::Ordinary => group.opts(number),
                Rights::Informed => group.informed_opts(number),
            };
            User::listening(name, DEADLINE, [first, second, third].map(opts), move |event| {
                if let Event::Moved { to, .. } = event {
                    println!("{name}: {event:?}");
                    let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
                    noted.push((Instant::now(), (*to).to_owned()));
                }
            })
        };
        let users = [user(names[0], Rights::Informed), user(names[1], Rights::Ordinary)];
        Users { users, moves }
    }

    /// Callers of both users, in tables of their own.
    async fn begin(&self, group: &Group, server: usize) -> [Load; 2] {
        for user in &self.users {
            lay_out(group, server, user.name, &user.exec, CALLERS).await;
        }
        self.users.each_ref().map(|user| Load::begin_with_pause(user.name, &[&user.exec], CALLERS, PAUSE))
    }

    /// The moves to this node until this moment.
    fn moves_to(&self, address: &str, until: Instant) -> usize {
        let moves = self.moves.lock().unwrap_or_else(PoisonError::into_inner);
        moves.iter().filter(|(at, to)| to == address && *at < until).count()
    }

    /// Verdicts were true, in time, and the frozen node was noticed.
    async fn assert_good(&self, group: &Group, server: usize, loads: [Load; 2]) {
        for (user, load) in self.users.iter().zip(loads) {
            let books = load.close(group.node(server)).await;
            println!("{}: longest {:?}, codes: {}", user.name, books.longest(), user.codes.line());
            for (call, ending, message) in books.errors() {
                println!("{}: {call:?} {ending:?}: {message}", user.name);
            }
            books.assert_true();
            let down = user.events.recorded().iter().filter(|event| matches!(event, Recorded::Down { .. })).count();
            assert!(down > 0, "{}: the frozen node was not noticed", user.name);
            assert!(books.longest() <= DEADLINE + 2 * WATCH + SLACK, "a call took {:?}", books.longest());
        }
    }
}

async fn reach(loads: &[Load; 2], more: usize) {
    tokio::join!(loads[0].reach(more), loads[1].reach(more));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_98_and_102_a_former_primary_that_thaws_is_not_used_while_another_one_is() {
    let Some(scene) = long_scene().await else { return };
    let group = scene.group;
    let old = group.primary().await;
    let users = Users::new(group, ["thawed", "thawed_ordinary"], old);
    let loads = users.begin(group, old).await;
    reach(&loads, 100).await;
    group.node(old).freeze();
    tokio::time::sleep(FROZEN).await;
    let next = group.primary_after(old).await;
    reach(&loads, 50).await;
    group.node(old).thaw();
    tokio::time::sleep(THAWED).await;
    println!("the old one is {:?}", group.state(old).await);
    group.make_whole().await;
    reach(&loads, 50).await;
    assert_eq!(group.primary().await, next);
    let back = users.moves_to(&group.node(old).address(), Instant::now());
    users.assert_good(group, next, loads).await;
    assert_eq!(back, 0, "calls went back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_98_and_102_of_several_primaries_one_that_thaws_is_not_used_until_the_others_call_it_online() {
    let Some(scene) = long_multi_scene().await else { return };
    let group = scene.group;
    let (old, other) = (0, 1);
    let users = Users::new(group, ["thawed_of_several", "thawed_of_several_ordinary"], old);
    let loads = users.begin(group, old).await;
    reach(&loads, 100).await;
    group.node(old).freeze();
    tokio::time::sleep(FROZEN).await;
    group.until_members(other, 2).await;
    reach(&loads, 50).await;
    group.node(old).thaw();
    // each caller looks for a node now
    for node in [1, 2] {
        end_sessions(group, node).await;
    }
    let online = tokio::time::timeout(THAWED, until_called_online(group, other, old)).await;
    let until = Instant::now();
    println!("called ONLINE by the others: {online:?}; in its own eyes {:?}", group.state(old).await);
    let back = users.moves_to(&group.node(old).address(), until);
    group.make_whole().await;
    reach(&loads, 50).await;
    group.catch_up(other).await;
    users.assert_good(group, other, loads).await;
    assert_eq!(back, 0, "calls went back");
}

/// Waits until a node sees another one as ONLINE.
async fn until_called_online(group: &Group, by: usize, node: usize) {
    let port = group.node(node).port();
    loop {
        let members = group.members(by).await.unwrap_or_default();
        if members.iter().any(|member| member.port == port && member.state == "ONLINE") {
            return;
        }
        tokio::time::sleep(ms(50)).await;
    }
}

/// Ends the sessions of both users.
async fn end_sessions(group: &Group, node: usize) {
    let theirs = "SELECT GROUP_CONCAT(id) FROM information_schema.processlist WHERE user IN ('app', 'informed')";
    let ids: Option<Option<String>> = group.node(node).query_first(theirs).await;
    for id in ids.flatten().unwrap_or_default().split(',').filter(|id| !id.is_empty()) {
        // one may have ended by itself
        let mut conn = group.node(node).connect().await;
        let _ = mysql_async::prelude::Queryable::query_drop(&mut conn, format!("KILL {id}")).await;
    }
}
