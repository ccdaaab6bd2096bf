# ruff: noqa: E501 - the tables read better one line a case
"""What is taken out of command lines, and what must stay."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_fim.host.redaction import redact_args, redact_line

S = "hunter2Xy"
HEX64 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
TOKENS = [
    "ghp_" + "a1B2" * 9,
    "github_pat_" + "11ABCDEFG0" * 4,
    "glpat-" + "x9Y8z7w6v5u4t3s2r1q0",
    "xoxb-" + "123456789012-abcdefABCDEF",
    "AKIA" + "IOSFODNN7EXAMPLE",
    "sk-" + "proj-a1B2c3D4e5F6g7H8i9J0",
    "AIza" + "SyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q",
    "npm_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8",
    "pypi-" + "AgEIcHlwaS5vcmcCJGE1",
    "hf_" + "AbCdEfGhIjKlMnOpQrStUvWxYz",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0." + "dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc",
    "hvs." + "CAESIJlUUrvlVQyUhfY2kUqOQ1a2b3",
    "SG." + "abcdefghijklmnopqrstuv." + "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789abcdef",
]

SECRET_LINES = [
    (f"mysqldump --password {S} db", "mysqldump --password [REDACTED] db"),
    (f"pg_dump --password={S} -h db", "pg_dump --password=[REDACTED] -h db"),
    (f"mysql -uroot -p{S} -e 'select 1'", "mysql -uroot -p[REDACTED] -e 'select 1'"),
    (f"sudo docker exec -it db mysqldump -p{S} app", "sudo docker exec -it db mysqldump -p[REDACTED] app"),
    (f"mariadb-dump -u app -p{S}", "mariadb-dump -u app -p[REDACTED]"),
    (f"PGPASSWORD={S} psql -h db", "PGPASSWORD=[REDACTED] psql -h db"),
    (f"env AWS_SECRET_ACCESS_KEY={S} aws s3 ls", "env AWS_SECRET_ACCESS_KEY=[REDACTED] aws s3 ls"),
    (f"export GITHUB_TOKEN={S}", "export GITHUB_TOKEN=[REDACTED]"),
    (f"MYSQL_PWD={S} mysql", "MYSQL_PWD=[REDACTED] mysql"),
    (f"docker run -e DB_PASSWORD={S} img", "docker run -e DB_PASSWORD=[REDACTED] img"),
    (f"java -Dspring.datasource.password={S} -jar a.jar", "java -Dspring.datasource.password=[REDACTED] -jar a.jar"),
    (f"gradle -PsigningPassword={S} publish", "gradle -PsigningPassword=[REDACTED] publish"),
    (f"curl -H 'Authorization: Bearer {S}' https://a/b", "curl -H 'Authorization: Bearer [REDACTED]' https://a/b"),
    (f'curl -H "Authorization: Basic {S}" https://a', 'curl -H "Authorization: Basic [REDACTED]" https://a'),
    (f"curl -H 'X-Api-Key: {S}' https://a", "curl -H 'X-Api-Key: [REDACTED]' https://a"),
    (f"curl --header 'PRIVATE-TOKEN: {S}' https://a", "curl --header 'PRIVATE-TOKEN: [REDACTED]' https://a"),
    (f"curl -H 'Cookie: sid={S}; a=b' https://a", "curl -H 'Cookie: [REDACTED]' https://a"),
    (f"curl -u alice:{S} https://a", "curl -u alice:[REDACTED] https://a"),
    (f"curl -sSu alice:{S} https://a", "curl -sSu alice:[REDACTED] https://a"),
    (f"curl -ualice:{S} https://a", "curl -ualice:[REDACTED] https://a"),
    (f"curl --user alice:{S} https://a", "curl --user alice:[REDACTED] https://a"),
    (f"curl --proxy-user=alice:{S} https://a", "curl --proxy-user=alice:[REDACTED] https://a"),
    (f"curl -d 'user=a&password={S}&x=1' https://a", "curl -d 'user=a&password=[REDACTED]&x=1' https://a"),
    (f"""curl -d '{{"user":"a","password":"{S}"}}' https://a""", """curl -d '{"user":"a","password":"[REDACTED]"}' https://a"""),
    (f"wget --user a --password {S} https://a", "wget --user a --password [REDACTED] https://a"),
    (f"wget --http-password={S} https://a", "wget --http-password=[REDACTED] https://a"),
    (f"git clone https://alice:{S}@git.example/x.git", "git clone https://alice:[REDACTED]@git.example/x.git"),
    (f"git clone https://x-access-token:{S}@github.com/o/r", "git clone https://x-access-token:[REDACTED]@github.com/o/r"),
    (f"psql postgresql://app:{S}@db:5432/app", "psql postgresql://app:[REDACTED]@db:5432/app"),
    (f"worker --broker=amqp://u:{S}@mq/v", "worker --broker=amqp://u:[REDACTED]@mq/v"),
    (f"redis-cli -u redis://:{S}@cache:6379", "redis-cli -u redis://:[REDACTED]@cache:6379"),
    (f"pip install --index-url https://u:{S}@pypi.example/simple x", "pip install --index-url https://u:[REDACTED]@pypi.example/simple x"),
    (f"azcopy cp a 'https://b.blob/c?sv=2020&sig={S}'", "azcopy cp a 'https://b.blob/c?sv=2020&sig=[REDACTED]'"),
    (f"curl 'https://a/b?token={S}&x=1'", "curl 'https://a/b?token=[REDACTED]&x=1'"),
    (f"curl 'https://a/b?x=1&access_token={S}#f'", "curl 'https://a/b?x=1&access_token=[REDACTED]'"),
    (f"wget 'https://s3/x?X-Amz-Expires=60&X-Amz-Signature={HEX64}'", "wget 'https://s3/x?X-Amz-Expires=60&X-Amz-Signature=[REDACTED]'"),
    (f"app 'Server=db;User Id=sa;Password={S};Encrypt=true'", "app 'Server=db;User Id=sa;Password=[REDACTED];Encrypt=true'"),
    (f"app 'DefaultEndpointsProtocol=https;AccountName=a;AccountKey={S}=='", "app 'DefaultEndpointsProtocol=https;AccountName=a;AccountKey=[REDACTED]'"),
    (f"kubectl create secret generic s --from-literal=password={S}", "kubectl create secret generic s --from-literal=password=[REDACTED]"),
    (f"kubectl create secret generic s --from-literal db={S}", "kubectl create secret generic s --from-literal db=[REDACTED]"),
    (f"kubectl create secret docker-registry r --docker-password={S}", "kubectl create secret docker-registry r --docker-password=[REDACTED]"),
    (f"openssl rsa -in k.pem -passin pass:{S}", "openssl rsa -in k.pem -passin pass:[REDACTED]"),
    (f"openssl enc -aes-256-cbc -pass pass:{S} -in a", "openssl enc -aes-256-cbc -pass pass:[REDACTED] -in a"),
    (f"openssl enc -aes-256-cbc -K {HEX64} -in a", "openssl enc -aes-256-cbc -K [REDACTED] -in a"),
    (f"sshpass -p {S} ssh -p 22 root@host", "sshpass -p [REDACTED] ssh -p 22 root@host"),
    (f"sshpass -p{S} scp -P 22 a b:", "sshpass -p[REDACTED] scp -P 22 a b:"),
    (f"SSHPASS={S} sshpass -e ssh host", "SSHPASS=[REDACTED] sshpass -e ssh host"),
    (f"htpasswd -b /etc/htpasswd alice {S}", "htpasswd -b /etc/htpasswd alice [REDACTED]"),
    (f"htpasswd -nbB alice {S}", "htpasswd -nbB alice [REDACTED]"),
    (f"sh -c \"echo 'root:{S}' | chpasswd\"", "sh -c \"echo '[REDACTED]' | chpasswd\""),
    (f"echo {S} | sudo -S ls", "echo [REDACTED] | sudo -S ls"),
    (f"printf '%s' {S} | docker login -u a --password-stdin", "printf '[REDACTED]' [REDACTED] | docker login -u a --password-stdin"),
    (f"chpasswd <<< 'root:{S}'", "chpasswd <<< '[REDACTED]'"),
    (f"docker login -u alice -p {S} registry", "docker login -u alice -p [REDACTED] registry"),
    (f"az login --service-principal -u a -p {S}", "az login --service-principal -u a -p [REDACTED]"),
    (f"redis-cli -a {S} ping", "redis-cli -a [REDACTED] ping"),
    (f"mongosh -u a -p {S} --host h", "mongosh -u a -p [REDACTED] --host h"),
    (f"ldapsearch -x -D cn=admin -w {S}", "ldapsearch -x -D cn=admin -w [REDACTED]"),
    (f"smbclient //h/s -U alice%{S}", "smbclient //h/s -U alice%[REDACTED]"),
    (f"mount -t cifs //h/s /m -o username=a,password={S},vers=3", "mount -t cifs //h/s /m -o username=a,password=[REDACTED],vers=3"),
    (f"7z x -p{S} a.7z", "7z x -p[REDACTED] a.7z"),
    (f"zip -P {S} a.zip b", "zip -P [REDACTED] a.zip b"),
    (f"gpg --batch --passphrase {S} -d a.gpg", "gpg --batch --passphrase [REDACTED] -d a.gpg"),
    (f"aws configure set aws_secret_access_key {S}", "aws configure set aws_secret_access_key [REDACTED]"),
    (f"npm config set //r.example/:_authToken={S}", "npm config set //r.example/:_authToken=[REDACTED]"),
    (f"vault login {S}", "vault login [REDACTED]"),
    (f"vault kv put secret/a key1={S}", "vault kv put secret/a key1=[REDACTED]"),
    (f"sqlplus scott/{S}@orcl", "sqlplus scott/[REDACTED]@orcl"),
    (f"mysql -e \"CREATE USER a IDENTIFIED BY '{S}'\"", "mysql -e \"CREATE USER a IDENTIFIED BY '[REDACTED]'\""),
    (f"psql -c \"ALTER USER a PASSWORD '{S}'\"", "psql -c \"ALTER USER a PASSWORD '[REDACTED]'\""),
    (f"nmcli dev wifi connect home password {S}", "nmcli dev wifi connect home password [REDACTED]"),
    (f"useradd -m -p {S} alice", "useradd -m -p [REDACTED] alice"),
    (f"keytool -list -storepass {S}", "keytool -list -storepass [REDACTED]"),
    (f"rclone obscure {S}", "rclone obscure [REDACTED]"),
    (f"restic --key {HEX64} backup", "restic --key [REDACTED] backup"),
    (f"ssh host 'mysql -p{S} db'", "ssh host 'mysql -p[REDACTED] db'"),
    (f"terraform apply -var db_password={S}", "terraform apply -var db_password=[REDACTED]"),
    (f"ansible-playbook -e ansible_become_pass={S} a.yml", "ansible-playbook -e ansible_become_pass=[REDACTED] a.yml"),
    (f"helm install a b --set auth.password={S},replicas=2", "helm install a b --set auth.password=[REDACTED]"),
    (f"git -c http.extraheader='AUTHORIZATION: basic {S}' fetch", "git -c 'http.extraheader=AUTHORIZATION: basic [REDACTED]' fetch"),
    (f"lftp -u alice,{S} ftp.example", "lftp -u alice,[REDACTED] ftp.example"),
    ("sentry https://0123456789abcdef0123456789abcdef@sentry.io/1", "sentry https://[REDACTED]@sentry.io/1"),
    ("post https://hooks.slack.com/services/T000/B000/" + "XXXX", "post https://hooks.slack.com/services/[REDACTED]"),
    *((f"tool run {token} now", "tool run [REDACTED] now") for token in TOKENS),
    *((f"tool --opt={token}", "tool --opt=[REDACTED]") for token in TOKENS[:4]),
]  # fmt: skip

HARMLESS = [
    "docker run -p 8080:80 nginx",
    "python -m http.server -p 8080",
    "ssh -p 2222 alice@host",
    "vault-agent --token-ttl 5m --max-tokens 100",
    "psql --password -h db.example app",
    "psql --no-password -d app",
    "docker login -u alice --password-stdin registry.example",
    "mysql -u root -p app",
    "restic --password-file /etc/restic/password backup /home",
    "cat /etc/passwd /etc/shadow /run/secrets/db_password",
    "git checkout 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b",
    "git log --format=%H 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b..HEAD",
    f"docker exec {HEX64} sh",
    f"sha256sum --check {HEX64}",
    "mount /dev/disk/by-uuid/0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9 /mnt",
    "systemd-run --unit=run-0a1b2c3d4e5f60718293a4b5c6d7e8f9.service sleep 1",
    "openssl rsa -in key.pem -passin env:KEY_PASS -out out.pem",
    "openssl req -new -key /etc/ssl/private/host.key -out host.csr",
    "ssh -i ~/.ssh/id_ed25519 -o UserKnownHostsFile=/dev/null host",
    "sshd -D -o AuthorizedKeysFile=/etc/ssh/keys/%u -p 22",
    "curl -fsSL https://example.com:8443/@scope/pkg?version=1.2.3&arch=amd64",
    "curl -o /tmp/token.json https://example.com/oauth/token",
    "tokenizer --model bert --tokens 5",
    "docker run --user 1000:1000 -u 33:33 img",
    "chown www-data:www-data /var/www",
    "rsync -avz --progress /src/ host:/dst/",
    "PATH=/usr/bin:/bin PWD=/root OLDPWD=/tmp make -j4",
    "sh -c 'PGPASSWORD=$DB_PASS psql -h ${HOST}'",
    "kubectl get secret db -o jsonpath={.data.user}",
    "passwd alice",
    "grep -r password /etc/pam.d",
    "apt-get install -y libpam-pwquality keepassxc",
    "java -Xmx512m -Dfile.encoding=UTF-8 -jar /opt/app/app.jar",
    "gpg --recv-keys --keyserver hkps://keys.openpgp.org 0xDEADBEEF",
    "aws s3 cp s3://bucket/path/key.txt . --region eu-central-1",
    "find / -name '*.key' -newer /etc/passwd -print0",
    "tar -czf /backup/2026-01-13T14:30:01.tgz /etc",
    "/usr/lib/systemd/systemd --switched-root --system --deserialize 31",
    "sed -i s/token/id/ a.txt",
    "nginx: master process /usr/sbin/nginx -g daemon on;",
    "bash -c 'for i in 1 2 3; do echo $i | tee -a x; done'",
    "echo 'hello world' | grep world",
]


@pytest.mark.parametrize(("line", "expected"), SECRET_LINES, ids=[line[:48] for line, _ in SECRET_LINES])
def test_secrets_go(line: str, expected: str) -> None:
    assert redact_line(line) == expected
    if " | " in line or "<<<" in line:
        return
    redacted = redact_args(shlex.split(line))
    assert S not in " ".join(redacted)
    assert HEX64 not in " ".join(redacted)
    assert not any(token in " ".join(redacted) for token in TOKENS)
    assert len(redacted) == len(shlex.split(line))


@pytest.mark.parametrize("line", HARMLESS)
def test_what_is_no_secret_stays(line: str) -> None:
    assert redact_line(line) == line
    try:
        args = shlex.split(line)
    except ValueError:
        return
    assert redact_args(args) == args


def test_arguments_with_spaces_and_private_keys() -> None:
    assert redact_args(["x", "--password=two words", "--password", "two words"]) == [
        "x", "--password=[REDACTED]", "--password", "[REDACTED]"
    ]  # fmt: skip
    key = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNz\nYWFh\n-----END OPENSSH PRIVATE KEY-----"
    assert redact_args(["sh", "-c", f"echo '{key}' > /root/.ssh/id"]) == [
        "sh", "-c", "echo '[REDACTED]' > /root/.ssh/id"
    ]  # fmt: skip
    assert redact_args(["sh", "-c", f"echo 'root:{S}' | chpasswd"]) == [
        "sh",
        "-c",
        "echo '[REDACTED]' | chpasswd",
    ]
    assert redact_args(["sh", "-c", f"PGPASSWORD={S} psql -h db"]) == [
        "sh",
        "-c",
        "PGPASSWORD=[REDACTED] psql -h db",
    ]
    assert redact_args([]) == []


PIECES = st.sampled_from(
    ["--password", "=", " ", "'", '"', "\\", "-p", "mysql", "curl", "-u", "a:b", "[REDACTED]", "Authorization:", "Bearer ",
     "://", "@", "?", "&", "token", ";", "|", "echo ", "chpasswd", "<<<", "$(", "\n", "ghp_", "a1B2c3D4e5F6g7H8i9J0k1L2",
     "-----BEGIN PRIVATE KEY-----", "-c", "sh", "key", ":", "htpasswd", "-b", "vault", "put", "identified by '"]
)  # fmt: skip
TEXT = st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=14).map("".join))


@given(TEXT)
def test_a_second_time_changes_nothing(line: str) -> None:
    once = redact_line(line)
    assert redact_line(once) == once


@given(st.lists(TEXT, max_size=8))
def test_arguments_a_second_time(args: list[str]) -> None:
    once = redact_args(args)
    assert redact_args(once) == once
    assert len(once) == len(args)


@pytest.mark.parametrize(
    "piece",
    ["a", "'", '"', "\\", "a=", "-", ".", "://", "://a:", "@", "password", "password=", "sk-", "eyJa.", "-----BEGIN PRIVATE KEY",
     "bearer ", "identified by ", "a-", "A", "<", "$(", "<<<", " ", '\\"', "key: ", "https://a:b", ":1", "[REDACTED]", "a1B2"],
)  # fmt: skip
def test_time_grows_with_the_length_and_no_faster(piece: str) -> None:
    """A pattern that takes quadratic time would run for minutes on these; the test's own time limit ends it."""
    text = piece * (200_000 // len(piece))
    redact_line(text)
    redact_args(["mysql", text, "-c", text])
