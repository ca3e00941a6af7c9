#!/bin/sh
# A role and a database for Airflow and for MLflow; neither can enter the other's. Run once, on an empty server.
set -eu
for name in airflow mlflow; do
    # The password is read by psql itself: on its command line everybody could see it.
    psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<SQL
\set password \`cat '$SECRETS/${name}_database_password'\`
CREATE ROLE $name LOGIN PASSWORD :'password';
CREATE DATABASE $name OWNER $name ENCODING 'UTF8' TEMPLATE template0;
REVOKE CONNECT, TEMPORARY ON DATABASE $name FROM PUBLIC;
SQL
done
