"""A project whose manage.py is at the checkout's root: what its containers see of the checkout, and what is shipped."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator

import pytest
from containers.checkout import Checkout, checkout, docker, get, ok, within

pytestmark = pytest.mark.containers

# Static files by STATICFILES_DIRS, hashed, into a folder of the project; a default of its own for its hosts.
SETTINGS = """
import os
from pathlib import Path
BASE_DIR = Path(__file__).parent
SECRET_KEY = os.environ["SECRET_KEY"]
DEBUG = os.environ["DJANGO_SETTINGS_MODULE"] == "shop.settings"
ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "shop.example,localhost,127.0.0.1").split(",")
INSTALLED_APPS = ["django.contrib.staticfiles"]
ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR.parent / "assets"]
"""
SERVING = """
from shop.settings import *
MIDDLEWARE = ["whitenoise.middleware.WhiteNoiseMiddleware"]
STATIC_ROOT = BASE_DIR.parent / "collected"
STORAGES = {"staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"}}
"""
URLS = """
from django.http import HttpResponse
from django.templatetags.static import static
from django.urls import path
urlpatterns = [path("", lambda request: HttpResponse(static("shop.css")))]
"""
WSGI = "from django.core.wsgi import get_wsgi_application\napplication = get_wsgi_application()\n"
MANAGE = (
    "import sys\nfrom django.core.management import execute_from_command_line\nexecute_from_command_line(sys.argv)\n"
)
FILES = {
    "manage.py": MANAGE,
    "assets/shop.css": "body { color: teal }\n",
    "shop/__init__.py": "",
    "shop/settings.py": SETTINGS,
    "shop/serving.py": SERVING,
    "shop/urls.py": URLS,
    "shop/wsgi.py": WSGI,
}


@pytest.fixture(scope="module")
def shop(engine: None) -> Iterator[Checkout]:
    with checkout() as made:
        shutil.rmtree(made.root / "app")
        for name, text in FILES.items():
            (made.root / name).parent.mkdir(exist_ok=True)
            (made.root / name).write_text(text)
        made.prepare()
        made.set(
            DJANGO_FOLDER=".",
            DJANGO_SETTINGS_MODULE="shop.settings",
            PROD_SETTINGS_MODULE="shop.serving",
            WSGI_MODULE="shop.wsgi",
            HEALTH_PATH="/",
            DB_HOST="",
            WORKER_REPLICAS="0",
        )
        yield made


def test_the_secrets_of_the_checkout_stay_outside_of_its_containers(shop: Checkout) -> None:
    before, text = {*os.listdir(shop.root)}, (shop.root / ".env").read_text()
    ok(shop.inv("up"))
    seen = ok(shop.inv("exec", "app", "cat", ".env")).stdout
    assert seen == ""
    assert shop.value("POSTGRES_PASSWORD") not in ok(shop.inv("exec", "app", "sh", "-c", "cat .* *; env")).stdout
    assert (shop.root / ".env").read_text() == text
    assert {*os.listdir(shop.root)} - before <= {".berth", "__pycache__"}


def test_a_variable_that_is_not_set_leaves_the_project_its_default(shop: Checkout) -> None:
    def allowed_hosts() -> str:
        ok(shop.inv("up"))
        script = "from shop import settings; print(*settings.ALLOWED_HOSTS)"
        return ok(shop.inv("exec", "app", "python", "-c", script)).stdout

    assert allowed_hosts() == "shop.example localhost 127.0.0.1\n"
    shop.set(ALLOWED_HOSTS="localhost")
    assert allowed_hosts() == "localhost\n"


@pytest.fixture
def shipped(shop: Checkout) -> str:
    """The image that is shipped."""
    ok(shop.inv("build", "--prod"))
    return f"{shop.name}-app:prod"


def test_nothing_of_berth_is_shipped(shipped: str) -> None:
    made = docker("run", "--rm", "--entrypoint", "ls", shipped, "-A")
    names = {*made.stdout.split()}
    assert {"manage.py", "shop", "assets", "collected"} <= names
    berths = {"berth", "docker", "inv", "noxfile.py", "requirements", "tasks.py", ".env", ".env.template", ".berth"}
    assert names & berths == set()


def test_static_files_are_those_of_the_settings(shipped: str) -> None:
    variables = ["--env=SECRET_KEY=x", "--env=DJANGO_SETTINGS_MODULE=shop.serving", "--env=WSGI_MODULE=shop.wsgi"]
    line = ["run", "--detach", "--init", "--read-only", "--tmpfs=/tmp", "--publish=127.0.0.1::8000", *variables]
    container = docker(*line, shipped).stdout.strip()
    try:
        url = f"http://{docker('port', container, '8000').stdout.strip()}"
        within(40, lambda: get(f"{url}/").status == 200, "the server answers")
        sheet = get(f"{url}/").body.decode()
        assert re.fullmatch(r"/static/shop\.[0-9a-f]{12}\.css", sheet)
        assert get(f"{url}{sheet}").body.decode() == FILES["assets/shop.css"]
    finally:
        docker("rm", "--force", container)


def test_the_image_says_what_it_was_built_from(shop: Checkout, shipped: str) -> None:
    ok(shop.compose("build", "app"))
    variables = {"BUILD_TARGET": "prod", "BUILD_REVISION": "0123456789ab-dirty"}
    ok(shop.run(["docker", "compose", "build", "app"], variables=variables))
    labels = json.loads(docker("inspect", "--format", "{{json .Config.Labels}}", shipped).stdout)
    prefix = "org.opencontainers.image"
    assert {name: value for name, value in labels.items() if name.startswith(prefix) and value} == {
        f"{prefix}.title": "app",
        f"{prefix}.revision": "0123456789ab-dirty",
    }
