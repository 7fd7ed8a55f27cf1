"""Signals, versions and runs name who made them, which may be an API key."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


# Who made a row is known where the person is still there.
NAME = """
UPDATE {table} SET created_by_name = core_user.username FROM core_user WHERE core_user.id = {table}.created_by_id
"""


class Migration(migrations.Migration):

    dependencies = [
        ('core', '0005_created_by'),
        ('signals', '0016_move_llms'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='signal',
            name='created_by_key',
            field=models.ForeignKey(blank=True, editable=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='core.apikey'),
        ),
        migrations.AddField(
            model_name='signal',
            name='created_by_name',
            field=models.CharField(blank=True, editable=False, help_text='Empty: not known.', max_length=150),
        ),
        migrations.AddField(
            model_name='signalrun',
            name='created_by_key',
            field=models.ForeignKey(blank=True, editable=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='core.apikey'),
        ),
        migrations.AddField(
            model_name='signalrun',
            name='created_by_name',
            field=models.CharField(blank=True, editable=False, help_text='Empty: not known.', max_length=150),
        ),
        migrations.AddField(
            model_name='signalversion',
            name='created_by_key',
            field=models.ForeignKey(blank=True, editable=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='core.apikey'),
        ),
        migrations.AddField(
            model_name='signalversion',
            name='created_by_name',
            field=models.CharField(blank=True, editable=False, help_text='Empty: not known.', max_length=150),
        ),
        migrations.AlterField(
            model_name='signal',
            name='created_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AlterField(
            model_name='signalrun',
            name='created_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AlterField(
            model_name='signalversion',
            name='created_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.RunSQL(NAME.format(table="signals_signal"), migrations.RunSQL.noop),
        migrations.RunSQL(NAME.format(table="signals_signalversion"), migrations.RunSQL.noop),
        migrations.RunSQL(NAME.format(table="signals_signalrun"), migrations.RunSQL.noop),
    ]
