from django.db import migrations


class Migration(migrations.Migration):
    # The tables stay: they belong to the llms app now.

    dependencies = [
        ('llms', '0001_initial'),
        ('signals', '0015_budget_cascade'),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.DeleteModel('Budget'),
                migrations.DeleteModel('JudgeHealth'),
            ],
        ),
    ]
