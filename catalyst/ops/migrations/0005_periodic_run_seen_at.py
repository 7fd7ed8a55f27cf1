from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ops", "0004_periodic_run")]

    operations = [
        migrations.AddField(
            model_name="periodicrun",
            name="seen_at",
            field=models.DateTimeField(
                blank=True, help_text="When the worker of the outstanding run last showed that it is at it.", null=True
            ),
        ),
    ]
