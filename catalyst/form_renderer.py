"""The renderer of Django forms."""

from django.forms.renderers import TemplatesSetting


class FormRenderer(TemplatesSetting):
    """Finds templates in `templates/`; `{{ form.name.as_field_group }}` draws `components/field.html`."""

    field_template_name = "components/field.html"
