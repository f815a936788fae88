# Runs after deploy/demo/seed.py, in its namespace: people who work while something is upgraded.
for number in range(12):
    somebody = person(f"person{number}@example.com", f"Person {number}")  # noqa: F821
    if not organization.has_user(somebody):  # noqa: F821
        organization.add_user(somebody)  # noqa: F821
    somebody.active_organization = organization  # noqa: F821
    somebody.save()
    Token.objects.get_or_create(user=somebody)  # noqa: F821
    print(f"PERSON {somebody.id} {somebody.email}")
