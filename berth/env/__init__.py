"""`.env` and `.env.template`: read, check, create and change them as Docker Compose reads them."""

from berth.env.create import create, make_ignored, project_name, replace, secret, write_new
from berth.env.dotenv import Env, EnvError, parse, quote, read, read_text, with_values
from berth.env.template import DIRECTIVES, Variable, message, parse_template, problems, secret_values

__all__ = [
    "DIRECTIVES",
    "Env",
    "EnvError",
    "Variable",
    "create",
    "make_ignored",
    "message",
    "parse",
    "parse_template",
    "problems",
    "project_name",
    "quote",
    "read",
    "read_text",
    "replace",
    "secret",
    "secret_values",
    "with_values",
    "write_new",
]
