import catalyst.core.encrypted_fields
import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('core', '0009_user_hash_key'),
        ('llms', '0002_addresses_without_secrets'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='ModelConnection',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_by_name', models.CharField(blank=True, editable=False, help_text='Empty: not known.', max_length=150)),
                ('name', models.CharField(max_length=100)),
                ('preset', models.CharField(choices=[('openai', 'OpenAI'), ('anthropic', 'Anthropic'), ('gemini', 'Gemini'), ('azure', 'Azure OpenAI'), ('openrouter', 'OpenRouter'), ('ollama', 'Ollama'), ('vllm', 'vLLM'), ('other', 'Any compatible endpoint')], max_length=20)),
                ('base_url', models.CharField(help_text='Without user, password and keys.', max_length=500)),
                ('key', catalyst.core.encrypted_fields.EncryptedTextField(blank=True, context='llms.connection.key')),
                ('headers', catalyst.core.encrypted_fields.EncryptedTextField(blank=True, context='llms.connection.headers', help_text='A JSON object.')),
                ('allowed_models', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=200), help_text='The models that may be asked.')),
                ('default_model', models.CharField(max_length=200)),
                ('prices', models.JSONField(blank=True, default=dict, help_text='Model to US dollars per million tokens: input and output.')),
                ('concurrency', models.PositiveSmallIntegerField(help_text='Calls at once, of each worker.')),
                ('requests_per_minute', models.PositiveIntegerField(help_text='Of all workers together. Null: no limit.', null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(help_text='Workers replace the client of a connection when this changes.')),
                ('revoked_at', models.DateTimeField(help_text='Key and headers were deleted; nothing is asked until then.', null=True)),
                ('deleted_at', models.DateTimeField(null=True)),
            ],
            options={
                'verbose_name': 'model connection',
            },
        ),
        migrations.RemoveConstraint(
            model_name='judgehealth',
            name='signals_judgehealth_key',
        ),
        migrations.AddField(
            model_name='modelconnection',
            name='created_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='modelconnection',
            name='created_by_key',
            field=models.ForeignKey(blank=True, editable=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='core.apikey'),
        ),
        migrations.AddField(
            model_name='modelconnection',
            name='project',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='model_connections', to='core.project'),
        ),
        migrations.AddField(
            model_name='judgehealth',
            name='connection',
            field=models.ForeignKey(help_text="Null: the environment's.", null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='llms.modelconnection'),
        ),
        migrations.AddConstraint(
            model_name='judgehealth',
            constraint=models.UniqueConstraint(fields=('url', 'model', 'connection'), name='signals_judgehealth_key', nulls_distinct=False),
        ),
        migrations.AddIndex(
            model_name='modelconnection',
            index=models.Index(fields=['project', 'name'], name='llms_modelconnection_project'),
        ),
        migrations.AddConstraint(
            model_name='modelconnection',
            constraint=models.UniqueConstraint(condition=models.Q(('deleted_at', None)), fields=('project', 'name'), name='llms_modelconnection_name'),
        ),
    ]
