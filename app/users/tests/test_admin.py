import logging
import re
import time

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse

from status import readiness
from users.models import CustomUser, UserExport
from users.tasks import export_users

pytestmark = pytest.mark.django_db(transaction=True)

USERS = "/admin/users/customuser/"
EXPORTS = "/admin/users/userexport/"


@pytest.fixture
def staff(client):
    """Log in a member of the staff with the given permissions."""

    def log_in(*permissions):
        user = CustomUser.objects.create_user("staff", password="pw", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client.force_login(user)
        return client

    return log_in


def selected(*users):
    return {"action": "export_selected", "_selected_action": [user.pk for user in users], "index": 0}


def messages(response):
    return [(message.level_tag, str(message)) for message in response.context["messages"]]


def test_users_of_the_project_are_in_the_admin(admin_client):
    response = admin_client.get(USERS)

    assert response.status_code == 200
    assert reverse("admin:users_customuser_changelist") == USERS
    assert "Export selected users to CSV" in response.text
    assert "Export all to CSV" in response.text


def test_selected_users_are_exported(admin_client, admin_user, queue):
    other = CustomUser.objects.create_user("other")

    response = admin_client.post(USERS, selected(other), follow=True)

    export = UserExport.objects.get()
    assert response.redirect_chain == [(EXPORTS, 302)]
    assert messages(response) == [("success", f"Export {export.pk} was started. This page shows its progress.")]
    assert (export.requested_by, export.user_ids, export.status) == (admin_user, [other.pk], "queued")
    assert readiness._queue_counts(queue, 5) == {"waiting": 1, "in_flight": 0}


def test_all_users_are_exported(admin_client, queue):
    response = admin_client.post(f"{USERS}export/", follow=True)

    assert response.redirect_chain == [(EXPORTS, 302)]
    assert UserExport.objects.get().user_ids is None
    assert readiness._queue_counts(queue, 5) == {"waiting": 1, "in_flight": 0}


def test_export_is_not_started_by_a_link(admin_client):
    assert admin_client.get(f"{USERS}export/").status_code == 405
    assert not UserExport.objects.exists()


def test_broker_that_is_down_is_told_on_the_page_and_in_the_row(admin_client, celery_configured, caplog):
    # `broker_url` itself would give way to CELERY_BROKER_URL, which Celery reads too.
    celery_configured(broker_write_url="sqs://127.0.0.1:1")
    start = time.monotonic()

    response = admin_client.post(f"{USERS}export/", follow=True)

    export = UserExport.objects.get()
    assert response.status_code == 200
    assert messages(response) == [
        ("error", f"Export {export.pk} was not started: the broker could not be reached. Try again later.")
    ]
    assert (export.status, export.error) == (
        "failed",
        "The broker could not be reached, so no worker will see this export: start it again.",
    )
    assert export.error in response.text
    assert [record.msg["event"] for record in caplog.records if record.levelno == logging.ERROR] == [
        "export_not_published"
    ]
    assert time.monotonic() - start < 10


def test_list_follows_an_export_while_it_moves(admin_client):
    export = UserExport.objects.create(status="running", done=500, total=2000)

    moving = admin_client.get(EXPORTS).text
    assert '<div id="exports" data-moving>' in moving
    assert f'<progress value="500" max="2000" aria-label="Export {export.pk}"></progress> 500 of 2000 users' in moving
    assert "Download CSV" not in moving

    export_users(export.pk)
    over = admin_client.get(EXPORTS).text
    assert '<div id="exports">' in over
    assert f'<a href="{EXPORTS}{export.pk}/download/" download>Download CSV</a>' in over


def test_finished_export_is_downloaded(admin_client, admin_user):
    export = UserExport.objects.create()
    export_users(export.pk)

    response = admin_client.get(f"{EXPORTS}{export.pk}/download/")

    assert response.status_code == 200
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"] == f'attachment; filename="users-{export.pk}.csv"'
    header, line = response.content.decode().splitlines()
    assert header == "id,username,email,first_name,last_name,is_active,is_staff,date_joined,last_login"
    assert re.match(rf"{admin_user.pk},admin,admin@example.com,,,True,True,", line)


@pytest.mark.parametrize("status", ["queued", "running", "failed"])
def test_unfinished_export_has_no_file(admin_client, status):
    export = UserExport.objects.create(status=status)

    assert admin_client.get(f"{EXPORTS}{export.pk}/download/").status_code == 404
    assert admin_client.get(f"{EXPORTS}4711/download/").status_code == 404


def test_export_can_be_read_and_deleted_but_not_made_or_changed(admin_client):
    export = UserExport.objects.create(status="failed", error="why it failed")

    page = admin_client.get(f"{EXPORTS}{export.pk}/change/")
    assert "why it failed" in page.text
    assert 'name="_save"' not in page.text
    assert admin_client.get(f"{EXPORTS}add/").status_code == 403
    assert admin_client.post(f"{EXPORTS}{export.pk}/change/", {"status": "finished"}).status_code == 403
    assert admin_client.post(f"{EXPORTS}{export.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not UserExport.objects.exists()


def test_who_may_not_export_is_not_offered_it_and_refused(staff):
    client = staff("view_customuser", "view_userexport")
    user = CustomUser.objects.get()

    page = client.get(USERS).text
    assert "Export selected users to CSV" not in page
    assert "Export all to CSV" not in page
    client.post(USERS, selected(user))
    assert client.post(f"{USERS}export/").status_code == 403
    assert not UserExport.objects.exists()


@pytest.mark.parametrize("permission", ["view_customuser", "view_userexport"])
def test_exports_take_the_permission_to_see_users_and_the_one_to_see_exports(staff, permission):
    export = UserExport.objects.create(status="finished", csv="secret")
    client = staff(permission)

    assert client.get(EXPORTS).status_code == 403
    assert client.get(f"{EXPORTS}{export.pk}/download/").status_code == 403


def test_staff_with_the_permissions_exports_and_downloads(staff, queue):
    client = staff("view_customuser", "view_userexport", "add_userexport")

    assert client.post(f"{USERS}export/", follow=True).status_code == 200
    export = UserExport.objects.get()
    export_users(export.pk)
    assert client.get(f"{EXPORTS}{export.pk}/download/").status_code == 200


def test_download_takes_a_login(client):
    response = client.get(f"{EXPORTS}1/download/")

    assert response["Location"] == f"/admin/login/?next={EXPORTS}1/download/"
