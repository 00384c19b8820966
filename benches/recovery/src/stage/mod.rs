//! Where a column is measured: a server or two, what stands before them, and an outage that can be begun and ended.
//!
//! "The server is ready" is the moment in which a fresh connection of the harness, over the unix socket, is answered
//! `SELECT 1`, or in which a fault of the path was switched off. A node of a cluster has to commit, and a router to lead to it.

mod crowd;
mod elected;
mod ground;
mod replica;

use mysql_async::{Conn, prelude::Queryable};
use mysql_retry_fixture::{Cluster, Fault, Proxy, Router, Server, Transport};

use crate::{
    attempts,
    columns::{USER, Way},
    form::Form,
};
use crowd::Crowd;
use elected::Elected;
pub(crate) use ground::prepare;
use ground::{until_it_leads, until_ready, until_writable};
use replica::Replicas;

/// One form of outage, set up for one column.
pub(crate) enum Stage<'a> {
    /// The path to a server that runs on is lost.
    Path(Form, &'a Server, Proxy),
    /// The server itself is killed; clients talk to it directly, so that they see what its kernel says.
    Killed(&'a Server),
    /// The server runs on, and lets nobody in.
    Full(&'a Server, Proxy, Crowd),
    /// The first server is killed for good, and another one takes over. Those that cannot choose between them go through
    /// the first proxy, which is then led to the new server; the second one always leads there.
    Promoted(Replicas, [Proxy; 2]),
    /// The same with two nodes of a cluster.
    Galera(Box<Cluster>, [Proxy; 2]),
    /// The same with a group, which elects another primary by itself.
    Group(Box<Elected>, [Proxy; 3]),
    /// The same behind a router that follows the election. The proxy before it counts, and closes what it has accepted while
    /// the router refuses.
    Router(Box<Elected>, Router, Proxy),
}

impl<'a> Stage<'a> {
    /// Sets up a form; those that need one server take `server`.
    pub(crate) async fn set(form: Form, server: &'a Server) -> Self {
        match form {
            Form::Refused | Form::AcceptAndClose | Form::BlackHole => Stage::Path(form, server, proxy(server).await),
            Form::Killed => Stage::Killed(server),
            Form::Full => Stage::Full(server, proxy(server).await, Crowd::gather(server).await),
            Form::Promoted => {
                let pair = Replicas::start().await;
                let proxies = [proxy(pair.primary()).await, proxy(pair.successor()).await];
                Stage::Promoted(pair, proxies)
            }
            Form::Galera => {
                let cluster = Cluster::start().await;
                prepare(cluster.node(0)).await;
                cluster.catch_up(1).await;
                let proxies = [proxy(cluster.node(0)).await, proxy(cluster.node(1)).await];
                Stage::Galera(Box::new(cluster), proxies)
            }
            Form::Group => {
                let group = Elected::start().await;
                let [first, second, third] = group.nodes();
                let proxies = [proxy(first).await, proxy(second).await, proxy(third).await];
                Stage::Group(Box::new(group), proxies)
            }
            Form::Router => {
                let group = Elected::start().await;
                let router = group.router().await;
                let proxy = Proxy::start_at_port(router.port()).await;
                Stage::Router(Box::new(group), router, proxy)
            }
        }
    }

    /// How clients reach the server.
    pub(crate) fn way(&self) -> Way {
        match self {
            Stage::Path(_, _, proxy) | Stage::Full(_, proxy, _) | Stage::Router(_, _, proxy) => Way::to(proxy.port()),
            Stage::Killed(server) => Way::to(server.port()),
            Stage::Promoted(_, proxies) | Stage::Galera(_, proxies) => to_several(proxies),
            Stage::Group(_, proxies) => to_several(proxies),
        }
    }

    /// Connection attempts of the clients until now. What counts is the difference of two.
    pub(crate) fn attempts(&self) -> u64 {
        match self {
            Stage::Path(Form::Refused, ..) | Stage::Killed(_) => attempts::refused(),
            Stage::Path(_, _, proxy) | Stage::Full(_, proxy, _) | Stage::Router(_, _, proxy) => proxy.accepted() as u64,
            Stage::Promoted(_, proxies) | Stage::Galera(_, proxies) => accepted(proxies),
            Stage::Group(_, proxies) => accepted(proxies),
        }
    }

    /// Whether other programs of the machine can spoil that number.
    pub(crate) fn counts_all_programs(&self) -> bool {
        matches!(self, Stage::Path(Form::Refused, ..) | Stage::Killed(_))
    }

    /// The outage begins: when this returns, nobody has a connection that works.
    pub(crate) async fn begin(&mut self) {
        match self {
            Stage::Path(Form::Refused, _, proxy) => {
                proxy.refuse(true).await;
                cut(proxy).await;
            }
            Stage::Path(Form::AcceptAndClose, _, proxy) => {
                proxy.accept_and_close(true);
                cut(proxy).await;
            }
            Stage::Path(_, _, proxy) => proxy.go_dark().await,
            Stage::Killed(server) => server.kill().await,
            Stage::Full(_, _, crowd) => crowd.shut_out().await,
            Stage::Promoted(pair, _) => pair.primary().kill().await,
            Stage::Galera(cluster, _) => cluster.node(0).kill().await,
            Stage::Group(group, _) | Stage::Router(group, ..) => group.kill_primary().await,
        }
    }

    /// The outage ends: when this returns, the server is ready.
    ///
    /// `leads`: whether clients have to be led to the new server of a failover.
    pub(crate) async fn end(&mut self, leads: bool) {
        match self {
            Stage::Path(Form::Refused, _, proxy) => proxy.refuse(false).await,
            Stage::Path(Form::AcceptAndClose, _, proxy) => proxy.accept_and_close(false),
            Stage::Path(_, _, proxy) => proxy.heal().await,
            Stage::Killed(server) => server.start_again().await,
            Stage::Full(_, _, crowd) => crowd.let_in().await,
            Stage::Promoted(pair, proxies) => {
                pair.promote().await;
                until_ready(pair.successor()).await;
                lead(leads, &proxies[0], pair.successor());
            }
            Stage::Galera(cluster, proxies) => {
                until_writable(cluster.node(1)).await;
                lead(leads, &proxies[0], cluster.node(1));
            }
            Stage::Group(group, proxies) => {
                group.elect().await;
                until_writable(group.primary()).await;
                lead(leads, &proxies[0], group.primary());
            }
            Stage::Router(group, router, _) => {
                group.elect().await;
                until_writable(group.primary()).await;
                until_it_leads(router).await;
            }
        }
    }

    /// The server that is in charge after the outage.
    pub(crate) fn server(&self) -> &Server {
        match self {
            Stage::Path(_, server, _) | Stage::Killed(server) | Stage::Full(server, ..) => server,
            Stage::Promoted(pair, _) => pair.successor(),
            Stage::Galera(cluster, _) => cluster.node(1),
            Stage::Group(group, _) | Stage::Router(group, ..) => group.primary(),
        }
    }
}

/// A client that knows all servers chooses; the others go to the first one.
fn to_several(proxies: &[Proxy]) -> Way {
    Way { targets: Some(proxies.iter().map(Proxy::port).collect()), ..Way::to(proxies[0].port()) }
}

fn accepted(proxies: &[Proxy]) -> u64 {
    proxies.iter().map(|proxy| proxy.accepted() as u64).sum()
}

/// Over TCP, whatever the transport of the run is: columns are compared as they are mostly used.
pub(crate) async fn proxy(server: &Server) -> Proxy {
    Proxy::start_over(Transport::Tcp, server).await
}

fn lead(leads: bool, proxy: &Proxy, server: &Server) {
    if leads {
        proxy.point_at(server);
    }
}

/// Resets all, those included that had been accepted and not looked at.
async fn cut(proxy: &Proxy) {
    while proxy.cut_all(Fault::Rst).await > 0 || proxy.open() > 0 {
        tokio::task::yield_now().await;
    }
}

/// Ids of the sessions of a column, those included that have not logged in yet.
pub(crate) async fn sessions(admin: &mut Conn) -> Vec<u32> {
    let question =
        format!("SELECT id FROM information_schema.processlist WHERE user IN ('{USER}', 'unauthenticated user')");
    admin.query(question).await.expect("a list of sessions")
}
