"""Fills Label Studio's database for the demo: an organization, an administrator, two workers. Run with `manage.py shell`'s settings.

Creates what a sign-up creates, with Label Studio's own models. Idempotent. Prints shell assignments.
"""

import os
import shlex
import sys

sys.path.insert(0, os.getcwd())
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "core.settings.label_studio")

import django  # noqa: E402

django.setup()

from django.contrib.auth import get_user_model  # noqa: E402
from jwt_auth.models import JWTSettings, LSAPIToken  # noqa: E402
from organizations.models import Organization  # noqa: E402
from rest_framework.authtoken.models import Token  # noqa: E402
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken  # noqa: E402

User = get_user_model()


def person(email, first_name, **rights):
    user, made = User.objects.get_or_create(
        email=email, defaults={"username": email.split("@")[0], "first_name": first_name, "last_name": "Demo", **rights}
    )
    if made:
        password = os.environ.get("GATE_DEMO_ADMIN_PASSWORD") if rights else None
        if password:
            user.set_password(password)
        else:
            user.set_unusable_password()
        user.save()
    return user


admin = person("admin@demo.test", "Ada", is_staff=True, is_superuser=True)
workers = [person("worker1@demo.test", "Willa"), person("worker2@demo.test", "Wim")]

organization = Organization.objects.order_by("id").first() or Organization.create_organization(
    created_by=admin, title="Label Studio"
)
for user in [admin, *workers]:
    if not organization.has_user(user):
        organization.add_user(user)
    if user.active_organization_id != organization.id:
        user.active_organization = organization
        user.save()
    Token.objects.get_or_create(user=user)

# The plugin's clients use legacy tokens, which Label Studio switches off in new organizations.
JWTSettings.objects.update_or_create(
    organization=organization, defaults={"api_tokens_enabled": True, "legacy_api_tokens_enabled": True}
)

# Label Studio shows a personal access token once and stores only its header and payload; sign it again.
outstanding = OutstandingToken.objects.filter(user=admin, blacklistedtoken__isnull=True).first()
if outstanding:
    from jwt_auth.models import TruncatedLSAPIToken

    token = TruncatedLSAPIToken(outstanding.token)
else:
    token = LSAPIToken.for_user(admin)

for name, value in {
    "GATE_DEMO_ADMIN_TOKEN": Token.objects.get(user=admin).key,
    "GATE_DEMO_ADMIN_PAT": token.get_full_jwt(),
    "GATE_DEMO_ADMIN_EMAIL": admin.email,
    "GATE_DEMO_USER_EMAIL": workers[0].email,
    "GATE_DEMO_SECOND_EMAIL": workers[1].email,
}.items():
    print(f"{name}={shlex.quote(value)}")
