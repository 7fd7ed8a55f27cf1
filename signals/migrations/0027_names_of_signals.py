from django.db import migrations, models

MAX_NAME_CHARACTERS = 100


def number_duplicates(apps, _schema_editor):
    """Give unarchived signals of one agent and name a number, except for the oldest: `Laziness (2)`."""
    Signal = apps.get_model("signals", "Signal")
    taken, later = set(), []
    for pk, agent, name in Signal.objects.filter(archived_at=None).order_by("pk").values_list("pk", "agent_id", "name"):
        if (agent, name) in taken:
            later.append((pk, agent, name))
        taken.add((agent, name))
    for pk, agent, name in later:
        number, free = 1, name
        while (agent, free) in taken:
            number += 1
            suffix = f" ({number})"
            free = name[: MAX_NAME_CHARACTERS - len(suffix)] + suffix
        taken.add((agent, free))
        Signal.objects.filter(pk=pk).update(name=free)


class Migration(migrations.Migration):

    dependencies = [
        ('signals', '0026_label_user_hash'),
    ]

    operations = [
        migrations.RunPython(number_duplicates, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name='signal',
            constraint=models.UniqueConstraint(condition=models.Q(('archived_at', None)), fields=('agent', 'name'), name='signals_signal_name_of_agent'),
        ),
    ]
