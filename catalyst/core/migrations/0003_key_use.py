"""Limits of API keys, and what they are used for, by hour."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('core', '0002_people'),
    ]

    operations = [
        migrations.AddField(
            model_name='apikey',
            name='requests_per_second',
            field=models.PositiveIntegerField(blank=True, help_text="Empty: the instance's limit.", null=True),
        ),
        migrations.AddField(
            model_name='apikey',
            name='spans_per_second',
            field=models.PositiveIntegerField(blank=True, help_text="Empty: the instance's limit.", null=True),
        ),
        migrations.CreateModel(
            name='KeyHour',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('hour', models.DateTimeField()),
                ('what', models.CharField(max_length=20)),
                ('count', models.BigIntegerField()),
                ('key', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='core.apikey')),
            ],
            options={
                'indexes': [models.Index(fields=['hour'], name='core_keyhour_recent')],
                'constraints': [models.UniqueConstraint(fields=('key', 'hour', 'what'), name='core_keyhour_key', nulls_distinct=False)],
            },
        ),
    ]
