import pytest

CHECK = ("manage.py", "check")
PROD = "app.settings.prod"
MODULES = "`app.settings.local` to develop or `app.settings.prod` to serve"


def missing(name: str) -> str:
    return f"{name} is not set: add `{name}=...` to the environment (`.env`)\n"


def missing_secret(name: str) -> str:
    return f"{name} is not set: add `{name}=...` or `{name}_FILE=...` to the environment (`.env`)\n"


def assert_refused(process, message: str) -> None:
    """The message is all there is to read, and the process failed."""
    assert (process.returncode, process.stdout, process.stderr) == (4, "", message)


@pytest.mark.parametrize("module", ["app.settings.local", PROD])
def test_complete_environment_starts(run, module):
    if module == PROD:
        pytest.importorskip("whitenoise")

    process = run(*CHECK, DJANGO_SETTINGS_MODULE=module)

    assert (process.returncode, process.stdout, process.stderr) == (
        0,
        "System check identified no issues (0 silenced).\n",
        "",
    )


def test_deploy_check_of_production_is_clean(run):
    """Two warnings are silenced, about what the owner of the domain decides."""
    pytest.importorskip("whitenoise")

    process = run(*CHECK, "--deploy", "--fail-level", "WARNING", DJANGO_SETTINGS_MODULE=PROD)

    assert (process.returncode, process.stdout, process.stderr) == (
        0,
        "System check identified no issues (2 silenced).\n",
        "",
    )


SHOW_PAGE = (
    "-c",
    "import app.wsgi\n"
    "from django.test import Client\n"
    "response = Client(headers={'host': 'example.org'}).get('/admin/login/', secure=True)\n"
    "print(response['Content-Security-Policy'])\n"
    "print(response.cookies.output())",
)


def test_pages_of_production_have_a_policy_and_secure_cookies(run):
    pytest.importorskip("whitenoise")

    # Without the collected files there is no name of a style sheet, and no page.
    plain = "import app.settings.prod as s; s.STORAGES['staticfiles'] = s.STORAGES['default']; s.STATIC_URL = '/s/'\n"
    process = run("-c", plain + SHOW_PAGE[1], DJANGO_SETTINGS_MODULE=PROD, PYTHONWARNINGS="ignore")

    policy, cookies = process.stdout.splitlines()
    assert sorted(policy.split("; ")) == [
        "base-uri 'self'",
        "default-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "object-src 'none'",
    ]
    assert cookies.startswith("Set-Cookie: csrftoken=") and cookies.endswith("; Secure")


@pytest.mark.parametrize("value", [None, ""])
@pytest.mark.parametrize(
    "command",
    [CHECK, ("-c", "import app.wsgi"), ("-c", "import app.asgi"), ("-m", "celery", "-A", "app", "report")],
    ids=["manage.py", "wsgi", "asgi", "celery"],
)
def test_without_a_settings_module_nothing_starts(run, command, value):
    assert_refused(
        run(*command, DJANGO_SETTINGS_MODULE=value),
        f"DJANGO_SETTINGS_MODULE is not set: set it to {MODULES}\n",
    )


def test_manage_takes_the_settings_module_as_an_option(run):
    process = run(*CHECK, "--settings=app.settings.local", DJANGO_SETTINGS_MODULE=None)

    assert process.returncode == 0, process.stderr


@pytest.mark.parametrize("command", [CHECK, ("manage.py", "test"), ("manage.py", "migrate")])
def test_settings_package_is_no_settings_module(run, command):
    assert_refused(
        run(*command, DJANGO_SETTINGS_MODULE="app.settings"),
        f"DJANGO_SETTINGS_MODULE is app.settings, which holds no settings: set it to {MODULES}\n",
    )


@pytest.mark.parametrize("value", [None, ""])
@pytest.mark.parametrize("name", ["DB_HOST", "DB_NAME", "DB_USER", "AWS_REGION", "SQS_QUEUE_URLS"])
def test_missing_variable_is_named(run, name, value):
    assert_refused(run(*CHECK, **{name: value}), missing(name))


@pytest.mark.parametrize("value", [None, ""])
@pytest.mark.parametrize("name", ["SECRET_KEY", "DB_PASSWORD", "CELERY_BROKER_URL"])
def test_missing_secret_is_named_with_its_twin(run, name, value):
    assert_refused(run(*CHECK, **{name: value}), missing_secret(name))


@pytest.mark.parametrize(
    "command",
    [CHECK, ("-c", "import app.wsgi"), ("-m", "celery", "-A", "app", "worker", "-Q", "default")],
    ids=["manage.py", "wsgi", "celery"],
)
def test_all_problems_are_told_at_once(run, command):
    assert_refused(
        run(
            *command,
            SECRET_KEY=None,
            DB_PORT="x",
            DB_NAME="",
            LOG_LEVEL="LOUD",
            CELERY_TASK_ALWAYS_EAGER="maybe",
        ),
        missing_secret("SECRET_KEY")
        + "DB_PORT is malformed: not a valid integer\n"
        + missing("DB_NAME")
        + "LOG_LEVEL is malformed: not a valid log level\n"
        + "CELERY_TASK_ALWAYS_EAGER is malformed: not a valid boolean\n",
    )


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("DB_PORT", "70000", "must be greater than or equal to 1 and less than or equal to 65535"),
        ("DB_PORT", "5432x", "not a valid integer"),
        ("DEBUG", "perhaps", "not a valid boolean"),
        ("LOG_LEVEL", "LOUD", "not a valid log level"),
        ("CELERY_TASK_ALWAYS_EAGER", "2", "not a valid boolean"),
        ("CELERY_BROKER_URL", "amqp://u:hunter2@host", "must start with `sqs://`"),
        ("SQS_QUEUE_URLS", "default", "each queue is `name=URL`, with commas between them"),
        (
            "SQS_QUEUE_URLS",
            "default=ftp://broker/1/default",
            "each queue is `name=URL`, with commas between them",
        ),
        ("SQS_QUEUE_URLS", "mail=http://broker:9324/1/mail", "the queue `default` is not in it"),
        (
            "SQS_QUEUE_URLS",
            "default=http://a/1/a,mail=https://b/1/b",
            "either all URLs are `http:` or all are `https:`",
        ),
        ("CSRF_TRUSTED_ORIGINS", "example.org", "each origin is `http://` or `https://` and a host name"),
        ("WORKER_SOFT_SHUTDOWN_TIMEOUT", "-1", "must be greater than or equal to 0"),
        ("WORKER_SOFT_SHUTDOWN_TIMEOUT", "soon", "not a valid number"),
    ],
)
def test_malformed_variable_is_named_without_its_value(run, name, value, problem):
    assert_refused(run(*CHECK, **{name: value}), f"{name} is malformed: {problem}\n")


@pytest.mark.parametrize(
    "name",
    [
        "DB_PORT",
        "LOG_LEVEL",
        "CELERY_TASK_ALWAYS_EAGER",
        "WORKER_SOFT_SHUTDOWN_TIMEOUT",
        "DEBUG",
        "CSRF_TRUSTED_ORIGINS",
        "ALLOWED_HOSTS",
        "SECRET_KEY_FILE",
    ],
)
def test_empty_variable_counts_as_unset(run, name):
    process = run(*CHECK, **{name: ""})

    assert process.returncode == 0, process.stderr


SHOW_SECRETS = (
    "-c",
    "from django.conf import settings as s\n"
    "print(ascii([s.SECRET_KEY, s.DATABASES['default']['PASSWORD'], s.CELERY_BROKER_URL]))",
)


def test_secrets_are_read_from_files(run, tmp_path):
    values = {
        "SECRET_KEY": "k" * 50,
        "DB_PASSWORD": " p:a@s%s'w\"o\\r$d é ",
        "CELERY_BROKER_URL": "sqs://a:b@broker:1",
    }
    changes = {}
    for name, value in values.items():
        (tmp_path / name).write_text(f"{value}\n")
        changes |= {name: None, f"{name}_FILE": str(tmp_path / name)}

    process = run(*SHOW_SECRETS, **changes)

    assert (process.stdout, process.stderr) == (f"{list(values.values())!a}\n", "")


def test_variable_and_file_together_are_refused(run, tmp_path):
    (tmp_path / "key").write_text("hunter2")

    assert_refused(
        run(*CHECK, SECRET_KEY_FILE=str(tmp_path / "key")),
        "SECRET_KEY and SECRET_KEY_FILE are both set: unset one of them\n",
    )


@pytest.mark.parametrize("content", [None, b"\xff\xfe"], ids=["no file", "no text"])
def test_unreadable_file_is_refused(run, tmp_path, content):
    if content is not None:
        (tmp_path / "password").write_bytes(content)

    assert_refused(
        run(*CHECK, DB_PASSWORD=None, DB_PASSWORD_FILE=str(tmp_path / "password")),
        "DB_PASSWORD_FILE cannot be read: it must name a text file that this process may read\n",
    )


def test_empty_file_is_refused(run, tmp_path):
    (tmp_path / "password").write_text("\n")

    assert_refused(
        run(*CHECK, DB_PASSWORD=None, DB_PASSWORD_FILE=str(tmp_path / "password")),
        "DB_PASSWORD_FILE names an empty file: write the value of DB_PASSWORD into it\n",
    )


WEAK = (
    "SECRET_KEY is too weak: it needs 50 characters, 5 of them different, and must not start with `django-insecure-`\n"
)
NO_HOSTS = "ALLOWED_HOSTS is not set: list the host names to serve, `example.org,www.example.org`\n"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("DEBUG", "1", "DEBUG is on, which app.settings.prod refuses: unset it\n"),
        ("SECRET_KEY", None, missing_secret("SECRET_KEY")),
        ("SECRET_KEY", "short", WEAK),
        ("SECRET_KEY", "abcd" * 20, WEAK),
        ("SECRET_KEY", "django-insecure-" + "0123456789" * 5, WEAK),
        ("ALLOWED_HOSTS", None, NO_HOSTS),
        ("ALLOWED_HOSTS", " , ", NO_HOSTS),
        (
            "ALLOWED_HOSTS",
            "example.org,*",
            "ALLOWED_HOSTS holds `*`, which lets any Host header in: list the host names to serve\n",
        ),
        (
            "SECURE_HSTS_SECONDS",
            "-1",
            "SECURE_HSTS_SECONDS is malformed: must be greater than or equal to 0\n",
        ),
    ],
)
def test_production_refuses_what_is_not_safe(run, name, value, message):
    assert_refused(run(*CHECK, DJANGO_SETTINGS_MODULE=PROD, **{name: value}), message)


SHOW = "from django.conf import settings as s; print({names})"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "True 3600 False False True True None"),
        (
            {
                "SECURE_SSL_REDIRECT": "0",
                "SECURE_HSTS_SECONDS": "0",
                "SECURE_HSTS_INCLUDE_SUBDOMAINS": "1",
                "SECURE_HSTS_PRELOAD": "1",
                "SESSION_COOKIE_SECURE": "0",
                "CSRF_COOKIE_SECURE": "0",
                "USE_X_FORWARDED_PROTO": "1",
            },
            "False 0 True True False False ('HTTP_X_FORWARDED_PROTO', 'https')",
        ),
    ],
)
def test_production_is_safe_unless_told_otherwise(run, changes, expected):
    names = (
        "s.SECURE_SSL_REDIRECT, s.SECURE_HSTS_SECONDS, s.SECURE_HSTS_INCLUDE_SUBDOMAINS, "
        "s.SECURE_HSTS_PRELOAD, s.SESSION_COOKIE_SECURE, s.CSRF_COOKIE_SECURE, s.SECURE_PROXY_SSL_HEADER"
    )

    process = run("-c", SHOW.format(names=names), DJANGO_SETTINGS_MODULE=PROD, **changes)

    assert (process.stdout, process.stderr) == (f"{expected}\n", "")
