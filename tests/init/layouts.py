"""A small project of our own for each format of requirements and each layout that is met in the field."""

from __future__ import annotations

from init import shapes

from tests.django_files import manage, wsgi

DIGEST = "0" * 64
NAMED = '[project]\nname = "shop"\nversion = "1"\nrequires-python = ">=3.12"\ndependencies = ["django>=5.2"]\n'
GROUPED = NAMED + '[dependency-groups]\ndev = ["pytest"]\nprod = ["gunicorn"]\n'
UV_LOCK = """
version = 1
requires-python = ">=3.12"

[[package]]
name = "django"
version = "5.2.8"

[[package]]
name = "shop"
version = "1"
source = { virtual = "." }
dependencies = [{ name = "django" }]
"""
UV_LOCK_GROUPED = f"""{UV_LOCK}
[package.dev-dependencies]
prod = [{{ name = "gunicorn" }}]

[[package]]
name = "gunicorn"
version = "23.0.0"
"""
POETRY = {
    "pyproject.toml": '[tool.poetry]\nname = "shop"\nversion = "1"\n\n[tool.poetry.dependencies]\npython = "^3.12"\n'
    'django = "^5.2"\n',
    "poetry.lock": '[[package]]\nname = "django"\nversion = "5.2.8"\n\n[metadata]\nlock-version = "2.1"\n'
    'python-versions = "^3.12"\n',
}
PIPFILE = {"Pipfile": '[packages]\ndjango = "==5.2.8"\n\n[requires]\npython_version = "3.12"\n'}
PIPFILE_LOCK = """
{"_meta": {"requires": {"python_version": "3.12"}, "sources": []},
 "default": {"django": {"version": "==5.2.8", "hashes": ["sha256:DIGEST"]}}, "develop": {}}
""".replace("DIGEST", DIGEST)

FORMATS = {
    "one file": shapes.REQUIREMENTS,
    "with hashes": {"requirements.txt": f"django==5.2.8 \\\n    --hash=sha256:{DIGEST}\n"},
    "a chain": {
        "requirements/base.txt": "django==5.2.8\n",
        "requirements/production.txt": "-r base.txt\n-c constraints.txt\npsycopg[binary]\n",
        "requirements/constraints.txt": "psycopg==3.2.12\npsycopg-binary==3.2.12\n",
        "requirements/local.txt": "-r base.txt\npytest==8.4.2\n",
        "Dockerfile": "FROM python:3.12\nCOPY . .\nRUN pip install -r requirements/production.txt\n",
    },
    "pyproject": {"pyproject.toml": NAMED},
    "uv": {"pyproject.toml": NAMED, "uv.lock": UV_LOCK},
    "uv with groups": {"pyproject.toml": GROUPED, "uv.lock": UV_LOCK_GROUPED},
    "poetry": POETRY,
    "pipenv": {**PIPFILE, "Pipfile.lock": PIPFILE_LOCK},
    "pipenv without a lock": PIPFILE,
}
"""Files by what they are called."""


def layouts() -> dict[str, dict[str, str]]:
    """Return whole projects by what they are called."""
    configured = "import os\nos.environ.setdefault('DJANGO_CONFIGURATION', 'Dev')\n"
    library = {
        "pyproject.toml": '[project]\nname = "shoplib"\nversion = "1"\ndependencies = ["django>=5.2", "psycopg"]\n'
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n',
        "shoplib/__init__.py": "",
        "shoplib/apps.py": "",
    }
    classes = (
        "import os\nfrom configurations import Configuration, values\n\n\nclass Dev(Configuration):\n"
        '    SECRET_KEY = "x"\n    DATABASES = values.DatabaseURLValue()\n'
    )
    source = {f"src/{name}": text for name, text in shapes.project().items() if name != ".gitignore"}
    return {
        "at the root": shapes.project(more=shapes.REQUIREMENTS),
        "in a folder of a monorepo": {
            **shapes.project(folder="backend/"),
            "backend/requirements.txt": shapes.REQUIREMENTS["requirements.txt"],
            "frontend/package.json": '{"scripts": {}}\n',
        },
        "below src": {**source, ".gitignore": ".env\n", **shapes.REQUIREMENTS},
        "packages below src": {
            ".gitignore": ".env\n",
            "manage.py": "import sys\nsys.path.insert(0, 'src')\n" + manage("shop.settings"),
            **{name: text for name, text in source.items() if name.startswith("src/shop/")},
            **shapes.REQUIREMENTS,
        },
        "a sandbox of a library": {**shapes.project(folder="sandbox/"), **library},
        "settings in classes": {
            **shapes.project(
                more={"requirements.txt": "django==5.2.8\ndjango-configurations[database]==2.5.1\npsycopg\n"}
            ),
            "manage.py": configured + manage("shop.settings"),
            "shop/wsgi.py": configured + wsgi("shop.settings"),
            "shop/settings.py": classes,
        },
    }
