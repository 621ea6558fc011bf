-- Once, as a superuser: two roles and the database. Give both a password afterwards (\password in psql).
-- authserver_owner migrates; authserver_app serves. The second can neither make, change nor drop a table.
CREATE ROLE authserver_owner LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION;
CREATE ROLE authserver_app LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION;
CREATE DATABASE authserver OWNER authserver_owner ENCODING 'UTF8' TEMPLATE template0;
REVOKE ALL ON DATABASE authserver FROM PUBLIC;
GRANT CONNECT ON DATABASE authserver TO authserver_app;
