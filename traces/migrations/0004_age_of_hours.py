"""Hours by age, so that the ones that expire are found."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Add the indexes."""

    dependencies = [
        ('traces', '0003_cost_and_calls'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='agenthour',
            index=models.Index(fields=['hour'], name='traces_agenthour_age'),
        ),
        migrations.AddIndex(
            model_name='agenthourcalls',
            index=models.Index(fields=['hour'], name='traces_agenthourcalls_age'),
        ),
        migrations.AddIndex(
            model_name='agenthourlatency',
            index=models.Index(fields=['hour'], name='traces_agenthourlatency_age'),
        ),
    ]
