"""A project may keep its traces for fewer days than the instance."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Add the column."""

    dependencies = [
        ('core', '0003_key_use'),
    ]

    operations = [
        migrations.AddField(
            model_name='project',
            name='retention_days',
            field=models.PositiveSmallIntegerField(blank=True, help_text='Days that its traces are kept, where fewer than the instance keeps.', null=True),
        ),
    ]
