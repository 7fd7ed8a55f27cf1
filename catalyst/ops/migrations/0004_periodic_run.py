"""The class of wake-ups gets another name; the table keeps its own."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('ops', '0003_resumed_wakeups'),
    ]

    operations = [
        # First, so that renaming the model renames no table.
        migrations.AlterModelTable(name='wakeup', table='ops_wakeup'),
        migrations.RenameModel(old_name='Wakeup', new_name='PeriodicRun'),
    ]
