"""Traces that settle are counted by agent and minute, each once."""

import django.db.models.deletion
from django.db import migrations, models

from traces.store import schema


class Migration(migrations.Migration):

    dependencies = [
        ('agents', '0003_identities'),
        ('core', '0010_words_of_scopes'),
        ('traces', '0015_reported_outcomes'),
    ]

    operations = [
        migrations.AddField(
            model_name='unsettled',
            name='is_first',
            field=models.BooleanField(db_default=False, default=False, help_text='A trace that has not settled before. It is counted when it does.'),
        ),
        migrations.CreateModel(
            name='AgentMinute',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('minute', models.DateTimeField(help_text='Start of the minute, in UTC.')),
                ('trace_count', models.IntegerField(default=0)),
                ('error_trace_count', models.IntegerField(default=0, help_text='Traces with a root that failed.')),
                ('tokens', models.BigIntegerField(default=0, help_text='Input and output.')),
                ('cost', models.DecimalField(decimal_places=9, default=0, help_text='US dollars, of priced calls.', max_digits=20)),
                ('unpriced_count', models.BigIntegerField(default=0, help_text='LLM calls with tokens but no known price.')),
                ('latencies', models.JSONField(default=dict, help_text='Traces by latency bucket (`traces.summary.latency_bucket`).')),
                ('agent', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='agents.agent')),
                ('project', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='core.project')),
            ],
            options={
                'indexes': [models.Index(fields=['minute'], name='traces_agentminute_age')],
                'constraints': [models.UniqueConstraint(fields=('project', 'agent', 'minute'), name='traces_agentminute_key')],
            },
        ),
        migrations.RunSQL(schema.MINUTES, migrations.RunSQL.noop),
    ]
