"""The URLs of the project as they are while `DEBUG` is on, which it never is in tests."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [path("admin/", admin.site.urls), path("", include("welcome.urls"))]
