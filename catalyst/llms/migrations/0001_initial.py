import django.db.models.deletion
from django.db import migrations, models

MODELS = ('budget', 'judgehealth')


def take_content_types(apps, schema_editor):
    """Permissions that were granted, and entries of the admin's log, go along: they point to the content types."""
    _relabel(apps, schema_editor, 'signals', 'llms')


def return_content_types(apps, schema_editor):
    _relabel(apps, schema_editor, 'llms', 'signals')


def _relabel(apps, schema_editor, old, new):
    content_types = apps.get_model('contenttypes', 'ContentType').objects.using(schema_editor.connection.alias)
    content_types.filter(app_label=old, model__in=MODELS).update(app_label=new)


class Migration(migrations.Migration):
    # The signals app made the tables. They keep their names, rows, constraints and indexes.

    initial = True

    dependencies = [
        ('contenttypes', '0002_remove_content_type_name'),
        ('core', '0004_retention'),
        ('signals', '0015_budget_cascade'),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.CreateModel(
                    name='Budget',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('subject_id', models.BigIntegerField(db_column='signal_id', db_index=True, help_text='Id of a signal. Null: the whole project.', null=True, verbose_name='signal')),
                        ('daily_usd', models.DecimalField(decimal_places=4, help_text='The most for one day, in US dollars; null: no cap.', max_digits=12, null=True)),
                        ('daily_calls', models.PositiveIntegerField(help_text='The most judge calls for one day; null: no cap.', null=True)),
                        ('day', models.DateField(help_text='The UTC day of `calls`, `spent` and `allowed_calls`.')),
                        ('calls', models.IntegerField(default=0, help_text='Judge calls that ended, with a label or without.')),
                        ('spent', models.DecimalField(decimal_places=9, default=0, help_text='US dollars.', max_digits=20)),
                        ('allowed_calls', models.IntegerField(db_default=0, default=0, help_text='On `day` judging goes on beyond the cap until `calls` is that many: to catch up.')),
                        ('project', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='core.project')),
                    ],
                    options={
                        'db_table': 'signals_budget',
                        'constraints': [models.UniqueConstraint(fields=('project', 'subject_id'), name='signals_budget_key', nulls_distinct=False)],
                    },
                ),
                migrations.CreateModel(
                    name='JudgeHealth',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('url', models.CharField(max_length=500)),
                        ('model', models.CharField(max_length=200)),
                        ('failures', models.PositiveIntegerField(default=0, help_text='Pauses since it last answered.')),
                        ('paused_until', models.DateTimeField(null=True)),
                        ('error', models.TextField(blank=True, help_text='Why it is paused, in words for people; empty once it answers.')),
                        ('answered_at', models.DateTimeField(help_text='Last answer, to within ten seconds.', null=True)),
                    ],
                    options={
                        'verbose_name_plural': 'judge health',
                        'db_table': 'signals_judgehealth',
                        'constraints': [models.UniqueConstraint(fields=('url', 'model'), name='signals_judgehealth_key')],
                    },
                ),
            ],
        ),
        migrations.RunPython(take_content_types, return_content_types),
    ]
