"""Put a defect into authd: one user makes a module raise what no module should."""

import authd.modules.authsqlite as module

find = module.AuthSqlite.find


def defective_find(self, service, user):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    if user.startswith(b"defect"):
        raise ZeroDivisionError
    return find(self, service, user)


module.AuthSqlite.find = defective_find  # type: ignore[method-assign]
