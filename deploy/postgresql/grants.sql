-- In the database, as authserver_owner, after every `authserver db upgrade`; a second time changes nothing.
-- What is granted is what serving needs.
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO authserver_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO authserver_app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO authserver_app;

-- The audit log grows and nothing else: no row of it can be changed or removed by what serves. Sealing sets a
-- row's place in the chain, and moves the chain's head.
REVOKE UPDATE, DELETE ON audit_event, audit_checkpoint FROM authserver_app;
GRANT UPDATE (seq, hash) ON audit_event TO authserver_app;
REVOKE DELETE ON audit_head FROM authserver_app;

-- which revision the tables have is the owner's word
REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM authserver_app;
