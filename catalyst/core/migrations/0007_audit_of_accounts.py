"""The audit log has entries on accounts, and deletes old sign-ins."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('core', '0006_key_expiry'),
    ]

    operations = [
        migrations.AlterField(
            model_name='auditentry',
            name='target_id',
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddIndex(
            model_name='auditentry',
            index=models.Index(condition=models.Q(('project', None)), fields=['target_id', '-id'], name='core_audit_of_account'),
        ),
        migrations.AddIndex(
            model_name='auditentry',
            index=models.Index(condition=models.Q(('action__in', ('signed in', 'signed out', 'failed to sign in', 'was kept from signing in'))), fields=['created_at'], name='core_audit_sign_ins'),
        ),
    ]
