"""An application that embeds Label Studio, with its own tokens (method 1) or its session (method 3). A Django project in one file.

    PORT=3000 LABEL_STUDIO_URL=http://localhost JWT_SSO_SECRET=… JWT_SSO_SESSION_VERIFY_SECRET=… SESSION_SECRET=… python app.py
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import django
import jwt
from django.conf import settings
from django.http import HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import path
from django.utils.crypto import constant_time_compare
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

LABEL_STUDIO_URL = os.environ["LABEL_STUDIO_URL"]
JWT_SSO_SECRET = os.environ["JWT_SSO_SECRET"]
JWT_SSO_SESSION_VERIFY_SECRET = os.environ["JWT_SSO_SESSION_VERIFY_SECRET"]
PAGE = Path(__file__).resolve().parent.parent / "browser" / "index.html"

settings.configure(
    SECRET_KEY=os.environ["SESSION_SECRET"],
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ.get("DATABASE", os.path.join(tempfile.mkdtemp(), "app.sqlite3")),
        }
    },
    # Not "sessionid": that is Label Studio's, and on one host each would overwrite the other's.
    SESSION_COOKIE_NAME="app_sessionid",
    USE_TZ=True,
)
django.setup()

from django.contrib.auth import authenticate, get_user_model, login, logout  # noqa: E402


def label_studio_token(user):
    """A token for one login in Label Studio: short-lived, and made when it is needed."""
    now = int(time.time())
    claims = {"email": user.email, "first_name": user.first_name, "last_name": user.last_name, "iat": now, "exp": now + 600}
    return jwt.encode(claims, JWT_SSO_SECRET, algorithm="HS256")


# The example's form has no CSRF token; yours has one.
@csrf_exempt
@require_POST
def sign_in(request):
    user = authenticate(request, username=request.POST.get("username"), password=request.POST.get("password"))
    if user is None:
        return HttpResponse("Wrong name or password", status=401)
    login(request, user)
    return redirect("/")


@csrf_exempt
@require_POST
def sign_out(request):
    logout(request)
    return redirect("/")


@require_GET
def token_for_the_page(request):
    if not request.user.is_authenticated:
        return JsonResponse({"error": "Not signed in"}, status=401)
    response = JsonResponse({"token": label_studio_token(request.user), "url": LABEL_STUDIO_URL})
    response["Cache-Control"] = "no-store"
    return response


@require_GET
def link(request):
    if not request.user.is_authenticated:
        return redirect("/")
    return redirect(f"{LABEL_STUDIO_URL}/?token={label_studio_token(request.user)}")


@require_GET
def verify_session(request):
    """Method 3. Only the gate may call this; the secret proves that it does."""
    if not constant_time_compare(request.headers.get("X-Verify-Token", ""), JWT_SSO_SESSION_VERIFY_SECRET):
        return JsonResponse({"error": "Unauthorized"}, status=403)
    user = request.user
    if not user.is_authenticated:
        return JsonResponse({"error": "Not authenticated"}, status=401)
    return JsonResponse(
        {"email": user.email, "username": user.username, "first_name": user.first_name, "last_name": user.last_name, "id": user.id}
    )


@require_GET
def page(request):
    return HttpResponse(PAGE.read_bytes())


urlpatterns = [
    path("", page),
    path("login", sign_in),
    path("logout", sign_out),
    path("label-studio-link", link),
    path("api/label-studio-token", token_for_the_page),
    path("api/auth/verify-session", verify_session),
]

if __name__ == "__main__":
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    for name in ("ann", "bob"):
        user, _ = get_user_model().objects.get_or_create(
            username=name, email=f"{name}@example.com", first_name=name.title(), last_name="Otator"
        )
        # A plaintext password, because this is an example.
        user.set_password(name)
        user.save()
    sys.argv = ["app.py"]
    call_command("runserver", f"127.0.0.1:{os.environ.get('PORT', '3000')}", use_reloader=False)
