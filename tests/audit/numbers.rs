//! The error numbers that servers know, from the server's own list, and what foreign servers and proxies say.

use std::{collections::BTreeMap, path::Path};

use mysql_async::{Conn, prelude::Queryable as _};
use mysql_retry_fixture::Flavour;

/// An error as a server says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    pub code: u16,
    pub state: String,
    pub message: String,
}

fn said(code: u16, state: &str, message: &str) -> Said {
    Said { code, state: state.into(), message: message.into() }
}

/// Those of the server's own list that it says to clients.
pub async fn of_server(conn: &mut Conn, flavour: Flavour) -> Vec<Said> {
    match flavour {
        Flavour::MariaDb => of_messages(conn).await,
        Flavour::MySql => {
            // numbers from 10000 on are for its log
            let question = "SELECT ERROR_NUMBER, SQL_STATE, ERROR_NAME FROM performance_schema.events_errors_summary_global_by_error \
                            WHERE ERROR_NUMBER < 10000 ORDER BY ERROR_NUMBER";
            let rows: Vec<(u16, String, String)> = conn.query(question).await.expect("the server's errors");
            rows.into_iter().map(|(code, state, message)| Said { code, state, message }).collect()
        }
    }
}

/// Reads MariaDB's `errmsg.sys`, which has no SQLSTATEs: those of the numbers that both makers share are [`STATES`].
async fn of_messages(conn: &mut Conn) -> Vec<Said> {
    // beside the character sets, in a folder for each language
    let folder: String = conn.query_first("SELECT @@character_sets_dir").await.expect("an answer").expect("a row");
    let file = Path::new(&folder).parent().unwrap_or(Path::new("/")).join("english/errmsg.sys");
    let bytes = std::fs::read(&file).unwrap_or_else(|e| panic!("no messages in {}: {e}", file.display()));
    let states: BTreeMap<u16, &str> =
        STATES.iter().flat_map(|(state, codes)| codes.iter().map(move |code| (*code, *state))).collect();
    let of = |(code, message): (u16, String)| said(code, states.get(&code).unwrap_or(&"HY000"), &message);
    read(&bytes).into_iter().map(of).collect()
}

/// A head of 32 bytes with the count of messages and of sections, how many messages each thousand from 1000 on has, where each
/// message begins, the messages.
fn read(bytes: &[u8]) -> Vec<(u16, String)> {
    let short = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
    let (count, sections) = (usize::from(short(12)), usize::from(short(14)));
    let begin = 32 + 2 * sections + 2 * count;
    let mut messages = bytes[begin..].split(|byte| *byte == 0);
    let mut all = Vec::new();
    for section in 0..sections {
        for number in 0..short(32 + 2 * section) {
            let message = messages.next().expect("a message for each number");
            all.push((1000 * (section as u16 + 1) + number, String::from_utf8_lossy(message).into_owned()));
        }
    }
    all
}

/// What proxies, clusters and servers of other makers say, and numbers that nobody knows with every class of SQLSTATE.
pub fn foreign() -> Vec<Said> {
    let mut all = vec![
        said(
            1290,
            "HY000",
            "The MySQL server is running with the --read-only option so it cannot execute this statement",
        ),
        said(
            1290,
            "HY000",
            "The MySQL server is running with the --super-read-only option so it cannot execute this statement",
        ),
        said(1105, "08S01", "target: shop.0.primary: code = Unavailable desc = no healthy tablet"),
        said(1105, "HY000", "target: shop.0.primary: vttablet: rpc error: code = Unavailable"),
        said(1105, "HY000", "Aurora Serverless Seamless Scaling, try again"),
        said(1180, "HY000", "Got error 149 - 'Lock deadlock; Retry transaction' during COMMIT"),
        said(1180, "HY000", "Got error 5 'Not connected to Primary Component' during COMMIT"),
        said(1184, "08S01", "Aborted connection 5 to db: 'x' (init_connect command failed)"),
        said(1815, "HY000", "Internal error: x"),
        said(3100, "HY000", "Error on observer while running replication hook 'before_commit'."),
        said(3101, "40000", "Plugin instructed the server to rollback the current transaction."),
        said(4031, "HY000", "The client was disconnected by the server because of inactivity."),
        said(4094, "HY000", "The function group_replication_set_as_primary() is running"),
        said(2003, "HY000", "Can't connect to remote MySQL server for client connected to '0.0.0.0:6446'"),
        said(2006, "HY000", "MySQL server has gone away"),
        said(2013, "HY000", "Lost connection to MySQL server during query"),
        said(2055, "HY000", "Lost connection to MySQL server at 'reading', system error: 5"),
        said(8002, "HY000", "SELECT FOR UPDATE write conflict"),
        said(8022, "HY000", "Error: KV error safe to retry"),
        said(8028, "HY000", "Information schema is changed during the execution of the statement"),
        said(9001, "HY000", "Max connect timeout reached while reaching hostgroup 0 after 10000ms"),
        said(9001, "HY000", "PD server timeout"),
        said(9002, "HY000", "TiKV server timeout"),
        said(9005, "HY000", "Region is unavailable"),
        said(9007, "HY000", "Write conflict, txnStartTS=1"),
        said(9501, "HY000", "Timed-out waiting to acquire database connection"),
    ];
    for state in
        ["HY000", "01000", "02000", "08S01", "08004", "08006", "0A000", "21000", "22001", "23000", "24000", "25000"]
    {
        all.push(said(5990, state, "a number that nobody knows"));
    }
    for state in
        ["25006", "28000", "40000", "40001", "40003", "42000", "44000", "45000", "57014", "70100", "XA100", "00000"]
    {
        all.push(said(5991, state, ""));
    }
    all.extend([0, 1, 999, 7000, 10_000, 65_535].map(|code| said(code, "HY000", "out of all ranges")));
    all
}

/// The numbers below 1900 that have a SQLSTATE of their own, as MySQL 9.7 tells them.
const STATES: &[(&str, &[u16])] = &[
    ("01000", &[1249, 1261, 1262, 1265, 1311, 1642]),
    ("02000", &[1329, 1643]),
    ("08004", &[1040, 1251]),
    (
        "08S01",
        &[
            1042, 1043, 1047, 1053, 1080, 1081, 1152, 1153, 1154, 1155, 1156, 1157, 1158, 1159, 1160, 1161, 1184, 1189,
            1190, 1218,
        ],
    ),
    ("0A000", &[1312, 1314, 1335, 1336, 1415, 1845, 1846]),
    ("0K000", &[1645]),
    ("20000", &[1339]),
    ("21000", &[1222, 1241, 1242]),
    ("21S01", &[1058, 1136]),
    ("22001", &[1406]),
    ("22003", &[1264, 1416, 1690]),
    ("22004", &[1138, 1263]),
    ("22007", &[1292, 1367]),
    ("22008", &[1441]),
    ("22012", &[1365]),
    ("23000", &[1022, 1048, 1052, 1062, 1169, 1216, 1217, 1451, 1452, 1557, 1586, 1761, 1762, 1859]),
    ("24000", &[1325, 1326]),
    ("25000", &[1179, 1207]),
    ("25001", &[1568]),
    ("25006", &[1792]),
    ("28000", &[1045, 1698, 1873]),
    ("2F003", &[1303]),
    ("2F005", &[1321]),
    ("35000", &[1758]),
    ("3D000", &[1046]),
    ("40001", &[1213]),
    (
        "42000",
        &[
            1044, 1049, 1055, 1056, 1057, 1059, 1061, 1063, 1064, 1065, 1066, 1067, 1068, 1069, 1070, 1071, 1072, 1073,
            1074, 1075, 1083, 1084, 1090, 1091, 1101, 1102, 1103, 1104, 1106, 1107, 1110, 1112, 1113, 1115, 1118, 1120,
            1121, 1131, 1132, 1133, 1139, 1140, 1141, 1142, 1143, 1144, 1145, 1147, 1148, 1149, 1162, 1163, 1164, 1166,
            1167, 1170, 1171, 1172, 1173, 1176, 1177, 1178, 1203, 1211, 1226, 1227, 1230, 1231, 1232, 1234, 1235, 1239,
            1248, 1250, 1252, 1253, 1280, 1281, 1286, 1304, 1305, 1308, 1309, 1310, 1313, 1315, 1316, 1318, 1319, 1320,
            1322, 1323, 1324, 1327, 1330, 1331, 1332, 1333, 1337, 1338, 1370, 1403, 1407, 1410, 1413, 1414, 1425, 1426,
            1427, 1437, 1439, 1453, 1458, 1460, 1461, 1463, 1582, 1583, 1584, 1630, 1641, 1687, 1701,
        ],
    ),
    ("42S01", &[1050]),
    ("42S02", &[1051, 1109, 1146]),
    ("42S12", &[1082]),
    ("42S21", &[1060]),
    ("42S22", &[1054, 1247]),
    ("70100", &[1317]),
    ("HY001", &[1037, 1038]),
    ("XA100", &[1402]),
    ("XA102", &[1614]),
    ("XA106", &[1613]),
    ("XAE03", &[1401]),
    ("XAE04", &[1397]),
    ("XAE05", &[1398]),
    ("XAE07", &[1399]),
    ("XAE08", &[1440]),
    ("XAE09", &[1400]),
];
