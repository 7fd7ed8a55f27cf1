import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('llms', '0003_model_connections'),
        ('signals', '0028_descriptions_of_labels'),
    ]

    operations = [
        migrations.AddField(
            model_name='signaltest',
            name='connection',
            field=models.ForeignKey(help_text="Null: the instance's endpoint.", null=True, on_delete=django.db.models.deletion.RESTRICT, related_name='+', to='llms.modelconnection'),
        ),
        migrations.AddField(
            model_name='signalversion',
            name='connection',
            field=models.ForeignKey(help_text="Null: the instance's endpoint.", null=True, on_delete=django.db.models.deletion.RESTRICT, related_name='+', to='llms.modelconnection'),
        ),
        migrations.AlterField(
            model_name='signaltest',
            name='judge_model',
            field=models.CharField(blank=True, help_text="Empty: the instance's model. Never empty with a connection.", max_length=200),
        ),
        migrations.AlterField(
            model_name='signalversion',
            name='judge_model',
            field=models.CharField(blank=True, help_text="Empty: the instance's model. Never empty with a connection.", max_length=200),
        ),
    ]
