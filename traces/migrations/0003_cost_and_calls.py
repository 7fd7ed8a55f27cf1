"""What input, cache and output cost; calls by model and tool. What was stored before has neither."""

import django.db.models.deletion
from django.db import migrations, models

from traces.store import schema


class Migration(migrations.Migration):
    """Add the columns and the table."""

    dependencies = [
        ('agents', '0001_initial'),
        ('core', '0002_people'),
        ('traces', '0002_partitions'),
    ]

    operations = [
        migrations.AddField(
            model_name='agenthour',
            name='cache_cost',
            field=models.DecimalField(decimal_places=9, default=0, help_text='Known part: the cache.', max_digits=20),
        ),
        migrations.AddField(
            model_name='agenthour',
            name='input_cost',
            field=models.DecimalField(decimal_places=9, default=0, help_text='Known part: fresh input.', max_digits=20),
        ),
        migrations.AddField(
            model_name='agenthour',
            name='output_cost',
            field=models.DecimalField(decimal_places=9, default=0, help_text='Known part: output.', max_digits=20),
        ),
        migrations.AddField(
            model_name='session',
            name='cache_cost',
            field=models.DecimalField(decimal_places=9, default=0, help_text='Known part: the cache.', max_digits=20),
        ),
        migrations.AddField(
            model_name='session',
            name='input_cost',
            field=models.DecimalField(decimal_places=9, default=0, help_text='Known part: fresh input.', max_digits=20),
        ),
        migrations.AddField(
            model_name='session',
            name='output_cost',
            field=models.DecimalField(decimal_places=9, default=0, help_text='Known part: output.', max_digits=20),
        ),
        migrations.AddField(
            model_name='trace',
            name='cache_cost',
            field=models.DecimalField(decimal_places=9, default=0, help_text='Known part: the cache.', max_digits=20),
        ),
        migrations.AddField(
            model_name='trace',
            name='input_cost',
            field=models.DecimalField(decimal_places=9, default=0, help_text='Known part: fresh input.', max_digits=20),
        ),
        migrations.AddField(
            model_name='trace',
            name='output_cost',
            field=models.DecimalField(decimal_places=9, default=0, help_text='Known part: output.', max_digits=20),
        ),
        migrations.CreateModel(
            name='AgentHourCalls',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('hour', models.DateTimeField()),
                ('kind', models.CharField(choices=[('LLM', 'Llm'), ('TOOL', 'Tool')], max_length=4)),
                ('name', models.CharField(blank=True, help_text='Of the model or tool; empty where none is named.', max_length=256)),
                ('bucket', models.SmallIntegerField(help_text='traces.summary.latency_bucket; null while open.', null=True)),
                ('call_count', models.BigIntegerField(default=0)),
                ('error_count', models.BigIntegerField(default=0)),
                ('input_tokens', models.BigIntegerField(default=0)),
                ('output_tokens', models.BigIntegerField(default=0)),
                ('cached_tokens', models.BigIntegerField(default=0)),
                ('cost', models.DecimalField(decimal_places=9, default=0, max_digits=20)),
                ('unpriced_count', models.BigIntegerField(default=0)),
                ('agent', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='agents.agent')),
                ('project', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='core.project')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('project', 'agent', 'hour', 'kind', 'name', 'bucket'), name='traces_agenthourcalls_key', nulls_distinct=False)],
            },
        ),
        migrations.RunSQL(schema.CALLS, schema.DROP_CALLS),
    ]
