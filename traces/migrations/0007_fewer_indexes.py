"""Foreign keys that another index begins with lose their own index."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """Drop the indexes."""

    dependencies = [
        ('core', '0004_retention'),
        ('traces', '0006_text_by_trace'),
    ]

    operations = [
        migrations.AlterField(
            model_name='agenthour',
            name='project',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='core.project'),
        ),
        migrations.AlterField(
            model_name='agenthourlatency',
            name='project',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='core.project'),
        ),
        migrations.AlterField(
            model_name='resource',
            name='project',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='core.project'),
        ),
        migrations.AlterField(
            model_name='session',
            name='project',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='sessions', to='core.project'),
        ),
        migrations.AlterField(
            model_name='trace',
            name='project',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='traces', to='core.project'),
        ),
        migrations.AlterField(
            model_name='trace',
            name='session',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='traces', to='traces.session'),
        ),
    ]
