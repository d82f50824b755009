"""The URLs; `/status/` and `/status/ready/` are answered by `status.middleware` before they come here."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path

urlpatterns = [path("admin/", admin.site.urls)]

if settings.DEBUG:
    urlpatterns.append(path("", include("welcome.urls")))
