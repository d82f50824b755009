"""`.env` and `.env.template`: read, check, create and change them as Docker Compose reads them."""

from berth.env.dotenv import (
    Env,
    EnvError,
    Variable,
    create,
    generator,
    message,
    parse_template,
    problems,
    project_name,
    quote,
    read,
    read_text,
    replace,
    secret_values,
    with_values,
    write_new,
)

__all__ = [
    "Env",
    "EnvError",
    "Variable",
    "create",
    "generator",
    "message",
    "parse_template",
    "problems",
    "project_name",
    "quote",
    "read",
    "read_text",
    "replace",
    "secret_values",
    "with_values",
    "write_new",
]
