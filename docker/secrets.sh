#!/bin/sh
# Make the secrets that compose.yaml reads, one file each. What is there is kept: databases and logins stay valid.
#   sh docker/secrets.sh [FOLDER]
set -eu
umask 077
folder=${1:-$(dirname "$0")/secrets}
mkdir -p "$folder"

# 32 random bytes in letters that need no quoting, neither in an address nor in a file.
random() { head -c 32 /dev/urandom | base64 | tr -d '\n' | tr '+/' '-_'; }
word() { random | tr -d '='; }

# Of standard input, unless the file is there. The folder is closed to others; in a container each file is mounted for
# a user that this machine does not know, who must be able to read it.
keep() {
    if [ -e "$folder/$1" ]; then
        cat >/dev/null
    else
        cat >"$folder/$1.new"
        chmod 644 "$folder/$1.new"
        mv "$folder/$1.new" "$folder/$1"
    fi
}

for name in postgres_password airflow_database_password mlflow_database_password redis_password jwt_secret \
    api_secret_key grafana_password; do
    word | keep "$name"
done
random | keep fernet_key
printf '{"admin": "%s"}\n' "$(word)" | keep airflow_passwords
printf '[default]\naws_access_key_id = mlops\naws_secret_access_key = %s\n' "$(word)" | keep s3_credentials
