-- Create the application's role and database. Run by the db container on an empty volume, and by reset-db.sh.
--
-- DB_NAME, DB_USER, DB_PASSWORD    from the environment of the container
--
-- Re-runnable: a role that exists gets the password, a database that exists keeps its contents.

\set ON_ERROR_STOP on
\set QUIET on
\set SHOW_CONTEXT never
\pset tuples_only on

-- The statements hold the password, and must not reach the server's log.
SET log_statement = 'none';
SET log_min_error_statement = 'panic';
SET log_min_duration_statement = -1;

-- \getenv needs psql 15; a backquoted command would lose a newline at the end, hence the dot.
\set db_name `printf '%s.' "$DB_NAME"`
\set db_user `printf '%s.' "$DB_USER"`
\set db_password `printf '%s.' "$DB_PASSWORD"`
SELECT
    left(:'db_name', -1) AS db_name,
    left(:'db_user', -1) AS db_user,
    left(:'db_password', -1) AS db_password
\gset

-- All problems at once. PostgreSQL itself would cut a long name, and then the application would ask for
-- another one.
SELECT set_config('berth.problems', coalesce(string_agg(problem, '; '), ''), false) <> '' AS has_problems
FROM (
    SELECT name || ' is not set: set it in the environment of the db container'
    FROM (VALUES ('DB_NAME', :'db_name'), ('DB_USER', :'db_user'), ('DB_PASSWORD', :'db_password'))
        AS variable (name, value)
    WHERE value = ''
    UNION ALL
    SELECT format('%s has %s bytes: PostgreSQL takes %s at most', name, octet_length(value), longest)
    FROM (VALUES ('DB_NAME', :'db_name'), ('DB_USER', :'db_user')) AS variable (name, value),
        (SELECT current_setting('max_identifier_length')::int) AS setting (longest)
    WHERE octet_length(value) > longest
    UNION ALL
    SELECT 'DB_PASSWORD looks like a stored hash, which PostgreSQL would take as such: choose another'
    WHERE :'db_password' ~ '^(md5[0-9a-f]{32}|SCRAM-SHA-256\$.*)$'
    UNION ALL
    SELECT format('DB_NAME is the template database "%s": choose another', datname)
    FROM pg_database
    WHERE datname = :'db_name' AND datistemplate
) AS problems (problem)
\gset
\if :has_problems
    DO $$ BEGIN RAISE EXCEPTION '%', current_setting('berth.problems'); END $$;
\endif

SELECT
    EXISTS (SELECT FROM pg_roles WHERE rolname = :'db_user') AS role_exists,
    EXISTS (SELECT FROM pg_roles WHERE rolname = :'db_user' AND rolsuper) AS role_is_superuser,
    EXISTS (SELECT FROM pg_database WHERE datname = :'db_name') AS database_exists
\gset

\if :role_exists
\else
    CREATE ROLE :"db_user";
\endif
\if :role_is_superuser
    \warn 'db.sql: DB_USER is a superuser: give the application a role of its own'
\else
    -- CREATEDB: the tests create their own database. No superuser, so that a hole in the application is not
    -- one here.
    ALTER ROLE :"db_user" LOGIN CREATEDB;
\endif
ALTER ROLE :"db_user" PASSWORD :'db_password';

\if :database_exists
    -- POSTGRES_DB may name the application's database; it then belongs to the superuser, and since PostgreSQL
    -- 15 only the owner may create tables in its schema `public`.
    SELECT rolsuper AND rolname <> :'db_user' AS owner_is_other_superuser
    FROM pg_database JOIN pg_roles ON pg_roles.oid = datdba
    WHERE datname = :'db_name'
    \gset
    \if :owner_is_other_superuser
        ALTER DATABASE :"db_name" OWNER TO :"db_user";
    \endif
\else
    CREATE DATABASE :"db_name" OWNER :"db_user";
\endif
