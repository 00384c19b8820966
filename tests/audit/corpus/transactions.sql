# Beginning and ending transactions, locks, calls.
BEGIN
BEGIN WORK
START TRANSACTION
START TRANSACTION READ ONLY
START TRANSACTION READ WRITE
START TRANSACTION WITH CONSISTENT SNAPSHOT
START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY
COMMIT
COMMIT WORK
COMMIT AND CHAIN
COMMIT AND NO CHAIN
COMMIT NO RELEASE
COMMIT RELEASE
/* leading */ COMMIT
(COMMIT)
ROLLBACK
ROLLBACK WORK
ROLLBACK AND CHAIN
ROLLBACK RELEASE
SAVEPOINT s
@session
+ SAVEPOINT s
ROLLBACK TO SAVEPOINT s
@session
+ SAVEPOINT s
ROLLBACK TO s
@session
+ SAVEPOINT s
RELEASE SAVEPOINT s
SAVEPOINT s; ROLLBACK TO s
@fails
RELEASE SAVEPOINT nosuch
@fails
ROLLBACK TO SAVEPOINT nosuch
SET TRANSACTION ISOLATION LEVEL READ COMMITTED
SET TRANSACTION READ ONLY
SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE
SET SESSION TRANSACTION READ ONLY
SET LOCAL TRANSACTION READ WRITE
SET autocommit = 0
SET autocommit = 1
SET @@autocommit = 0
SET SESSION autocommit = OFF
SET completion_type = 1
SET completion_type = 'RELEASE'
LOCK TABLES t READ
LOCK TABLES t WRITE, t2 READ
LOCK TABLE t READ LOCAL
LOCK TABLES t AS alias READ
LOCK TABLES a WRITE, b WRITE
LOCK TABLES t READ NOWAIT
LOCK TABLES t WAIT 1 WRITE
UNLOCK TABLES
UNLOCK TABLE
@serial
LOCK INSTANCE FOR BACKUP
@serial
UNLOCK INSTANCE
@serial
- BACKUP STAGE END
BACKUP STAGE START
@serial
BACKUP LOCK t
@serial
BACKUP UNLOCK
@serial
FLUSH TABLES WITH READ LOCK
@serial
FLUSH TABLES t WITH READ LOCK
@serial
FLUSH TABLES t FOR EXPORT
XA START 'x{n}'
XA BEGIN 'x{n}'
XA START 'x{n}', 'branch', 1
XA START 'x{n}'; XA END 'x{n}'; XA ROLLBACK 'x{n}'
XA START 'x{n}'; XA END 'x{n}'; XA COMMIT 'x{n}' ONE PHASE
- XA ROLLBACK 'x{n}'
XA START 'x{n}'; INSERT INTO on_var VALUES (1); XA END 'x{n}'; XA PREPARE 'x{n}'
XA START 'x{n}'; INSERT INTO on_var VALUES (1); XA END 'x{n}'; XA PREPARE 'x{n}'; XA COMMIT 'x{n}'
XA RECOVER
@fails
XA COMMIT 'nosuch'
@fails
XA ROLLBACK 'nosuch'
CALL p_nothing()
CALL p_nothing
CALL {db}.p_nothing()
CALL p_rows()
CALL p_effect({n})
CALL p_out(@left_behind)
CALL p_commit()
CALL p_commit_chain()
CALL p_rollback()
CALL p_begin()
CALL p_begin_commit()
CALL p_begin_rollback()
@fails
CALL p_begin_fails()
@fails
CALL p_commit_fails()
@fails
CALL p_rollback_fails()
CALL p_begin_swallows()
CALL p_savepoint()
CALL p_autocommit()
CALL p_autocommit_on()
CALL p_ddl()
CALL p_truncate()
CALL p_analyze()
CALL p_flush()
CALL p_temp()
CALL p_var()
CALL p_names()
CALL p_mode()
CALL p_zone()
CALL p_clock()
CALL p_insert_id()
CALL p_read_only()
CALL p_next_isolation()
CALL p_isolation()
CALL p_lock()
CALL p_release()
CALL p_prepare()
CALL p_prepared_commit()
CALL p_last()
@fails
CALL p_signal()
@fails
CALL p_deadlock()
@fails
CALL p_wait()
@fails
CALL p_lost()
@fails
CALL p_refused()
@fails
CALL p_effect_deadlock({n})
CALL p_warning()
@fails
CALL p_kill()
CALL p_role()
CALL p_role_all()
CALL p_role_none()
CALL p_default_role()
CALL p_statement()
CALL p_xa()
CALL p_profiling()
@fails
SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'refused'
@fails
SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213
@fails
RESIGNAL
GET DIAGNOSTICS @left_behind = NUMBER
GET CURRENT DIAGNOSTICS CONDITION 1 @left_behind = MESSAGE_TEXT
@fails
KILL 4294967295
@fails
KILL QUERY 4294967295
@fails
KILL CONNECTION_ID()
KILL QUERY CONNECTION_ID()
