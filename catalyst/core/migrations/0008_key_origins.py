"""Keys for ingest may list the web pages that send with them."""

import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('core', '0007_audit_of_accounts'),
    ]

    operations = [
        migrations.AddField(
            model_name='apikey',
            name='origins',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=200), blank=True, default=list, help_text='Web pages that may send with this key. Empty: none.', size=20),
        ),
    ]
