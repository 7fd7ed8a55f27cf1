"""A session signal may have its own quiet time."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("signals", "0030_words_of_states")]

    operations = [
        migrations.AddField(
            model_name="signal",
            name="quiet_minutes",
            field=models.PositiveSmallIntegerField(
                blank=True,
                help_text="Minutes without activity after which a session is judged; null: the instance's.",
                null=True,
            ),
        ),
        migrations.AddConstraint(
            model_name="signal",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("quiet_minutes", None),
                    models.Q(("quiet_minutes__range", (1, 1440)), ("scope", "session")),
                    _connector="OR",
                ),
                name="signals_signal_quiet_minutes",
            ),
        ),
    ]
