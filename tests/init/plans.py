"""Plans for tests: of a small project at the root of its repository, unless something else is said."""

from __future__ import annotations

from typing import Any

from berth.init.plan import Install, Plan


def plan(**other: Any) -> Plan:
    """Return the plan of a project, with other values where they are given."""
    values: dict[str, Any] = {
        "name": "shop", "folder": "docker", "env_template": ".env.template", "env_file": ".env", "django": ".",
        "manage": "manage.py", "import_paths": (), "settings": "shop.settings", "prod_settings": "shop.settings",
        "wsgi": "shop.wsgi", "serve_asgi": False, "python": "3.13", "install": Install("uv", ".", ("uv.lock",)),
        "debian": (), "services": (), "workers": (), "variables": (), "static_root": False,
        "whitenoise": False, "health_path": "/", "health_candidates": (), "database": "postgresql",
    }  # fmt: skip
    names = Plan.__dataclass_fields__
    return Plan(**{name: {**values, **other}.get(name, "") for name in names if name != "remarks"})
