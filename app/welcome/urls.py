from django.urls import path

from welcome import views

urlpatterns = [
    path("", views.welcome, name="welcome"),
    path("state.json", views.state, name="state"),
]
