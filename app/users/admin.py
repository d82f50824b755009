"""The admin of users and of their exports."""

import structlog
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import path, reverse
from django.utils.html import format_html

from users.models import CustomUser, UserExport
from users.tasks import export_users

logger = structlog.get_logger(__name__)


def start_export(request: HttpRequest, user_ids: list[int] | None) -> HttpResponseRedirect:
    """Publish an export, tell the user what became of that, and lead to the list of exports.

    :param user_ids: primary keys; None exports every user.
    """
    export = None
    try:
        with transaction.atomic():
            export = UserExport.objects.create(requested_by=request.user, user_ids=user_ids)
            export_users.delay_on_commit(export.pk)
    except Exception:
        # The broker's client lets through errors of several libraries; all of them mean "not published".
        if export is None or not UserExport.objects.filter(pk=export.pk).exists():
            raise
        logger.exception("export_not_published", export=export.pk)
        export.status = export.Status.FAILED
        export.error = "The broker could not be reached, so no worker will see this export: start it again."
        export.save(update_fields=["status", "error"])
        messages.error(request, f"{export} was not started: the broker could not be reached. Try again later.")
    else:
        messages.success(request, f"{export} was started. This page shows its progress.")
    return HttpResponseRedirect(reverse("admin:users_userexport_changelist"))


@admin.register(CustomUser)
class CustomUserAdmin(UserAdmin):
    """Users, with an export of those that are selected or of all."""

    actions = ["export_selected"]
    change_list_template = "admin/users/customuser/change_list.html"

    @admin.action(description="Export selected users to CSV", permissions=["export"])
    def export_selected(self, request: HttpRequest, queryset: QuerySet[CustomUser]) -> HttpResponse:
        """Start an export of the selected users."""
        return start_export(request, list(queryset.order_by("pk").values_list("pk", flat=True)))

    def has_export_permission(self, request: HttpRequest) -> bool:
        """Whoever may see users may export them if they may add exports."""
        return self.has_view_permission(request) and request.user.has_perm("users.add_userexport")

    def get_urls(self) -> list:
        """Add the URL that exports every user."""
        view = self.admin_site.admin_view(self.export_all)
        return [path("export/", view, name="users_customuser_export"), *super().get_urls()]

    def export_all(self, request: HttpRequest) -> HttpResponse:
        """Start an export of every user."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_export_permission(request):
            raise PermissionDenied
        return start_export(request, None)

    def changelist_view(self, request: HttpRequest, extra_context: dict | None = None) -> HttpResponse:
        """Tell the template whether to offer the export."""
        context = {"has_export_permission": self.has_export_permission(request)}
        return super().changelist_view(request, context | (extra_context or {}))


@admin.register(UserExport)
class UserExportAdmin(admin.ModelAdmin):
    """Exports: read them, download them, delete them."""

    change_list_template = "admin/users/userexport/change_list.html"
    list_display = ["name", "state", "progress", "download", "requested_by", "created_at"]
    list_display_links = None
    list_select_related = ["requested_by"]
    fields = [
        "state",
        "progress",
        "error",
        "download",
        "requested_by",
        "created_at",
        "started_at",
        "finished_at",
    ]
    readonly_fields = fields

    @admin.display(description="export", ordering="pk")
    def name(self, export: UserExport) -> str:
        """Link to the details."""
        return format_html('<a href="{}">{}</a>', reverse("admin:users_userexport_change", args=[export.pk]), export)

    @admin.display(description="status", ordering="status")
    def state(self, export: UserExport) -> str:
        """Name the status; for one that failed also say why."""
        if export.error:
            return format_html('<span class="export-failed">{}</span> {}', export.status, export.error)
        return export.status

    @admin.display
    def progress(self, export: UserExport) -> str:
        """Draw how far the task is."""
        if export.total is None:
            return "not counted yet"
        return format_html(
            '<progress value="{0}" max="{1}" aria-label="{2}"></progress> {0} of {1} users',
            export.done,
            # A bar of length 0 is invalid HTML.
            export.total or export.done,
            str(export),
        )

    @admin.display
    def download(self, export: UserExport) -> str:
        """Link to the file once there is one."""
        if export.status != export.Status.FINISHED:
            return "-"
        url = reverse("admin:users_userexport_download", args=[export.pk])
        return format_html('<a href="{}" download>Download CSV</a>', url)

    def has_view_permission(self, request: HttpRequest, obj: UserExport | None = None) -> bool:
        """An export shows users, so it takes the permission to see those too."""
        return super().has_view_permission(request, obj) and request.user.has_perm("users.view_customuser")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Exports are started from the list of users."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: UserExport | None = None) -> bool:
        """An export is what the task wrote."""
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[UserExport]:
        """Leave the text of the files in the database."""
        return super().get_queryset(request).defer("csv", "user_ids")

    def get_urls(self) -> list:
        """Add the URL of the file."""
        view = self.admin_site.admin_view(self.file)
        return [
            path("<int:export_id>/download/", view, name="users_userexport_download"),
            *super().get_urls(),
        ]

    def file(self, request: HttpRequest, export_id: int) -> HttpResponse:
        """Serve the file of a finished export."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        export = UserExport.objects.filter(pk=export_id, status=UserExport.Status.FINISHED).first()
        if export is None:
            raise Http404("There is no finished export of this number.")
        return HttpResponse(
            export.csv,
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="users-{export.pk}.csv"'},
        )

    def changelist_view(self, request: HttpRequest, extra_context: dict | None = None) -> HttpResponse:
        """Tell the template whether anything moves."""
        over = [UserExport.Status.FINISHED, UserExport.Status.FAILED]
        context = {"is_moving": UserExport.objects.exclude(status__in=over).exists()}
        return super().changelist_view(request, context | (extra_context or {}))
