# What every server has once, in the form of setup.sql.

? CREATE ROLE boss

? GRANT boss TO root@'127.0.0.1'

? GRANT boss TO root@localhost

CREATE USER nobody

? GRANT boss TO nobody

CREATE USER second IDENTIFIED BY 'x'

CREATE DATABASE elsewhere

CREATE TABLE elsewhere.t (id INT PRIMARY KEY, x INT)

INSERT INTO elsewhere.t VALUES (1, 1)

CREATE DATABASE upper CHARACTER SET latin1
