"""When a wake-up went on after a long pause."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('ops', '0002_heartbeats'),
    ]

    operations = [
        migrations.AddField(
            model_name='wakeup',
            name='resumed_at',
            field=models.DateTimeField(blank=True, help_text='When it went on after it had not ended for long: the clock may have jumped.', null=True),
        ),
    ]
