"""Fixtures of chat templates: templates written here, rendered by transformers.

    python make_chat.py ../resources/chat

Each directory is a tokenizer directory without the tokenizer: tokenizer_config.json and, where
the template is a file of its own, chat_template.jinja. cases.json holds what apply_chat_template
was given and what it gave, with the clock stopped at `now`.
"""
import json
import shutil
import sys
from datetime import datetime
from pathlib import Path

import jinja2
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast
from transformers.utils import chat_template_utils

NOW = datetime(2025, 3, 9, 7, 5, 3)

ROLES = """\
{{ bos_token }}
{%- set ns = namespace(turn=0, system='') -%}
{%- for m in messages if m['role'] == 'system' -%}
  {%- set ns.system = ns.system + m['content'] | trim + '\\n\\n' -%}
{%- endfor -%}
{%- for m in messages -%}
  {%- if m['role'] == 'system' -%}{%- continue -%}{%- endif -%}
  {%- if (m['role'] == 'user') != (ns.turn % 2 == 0) -%}
    {{- raise_exception('After the system message, roles must alternate user and assistant, got '
        ~ m['role'] ~ ' at turn ' ~ ns.turn) -}}
  {%- endif -%}
  {%- if m['role'] == 'user' -%}
    {{- '[ASK] ' + (ns.system if loop.last or ns.turn == 0 else '') + m['content'] | trim
        + ' [/ASK]' -}}
  {%- elif m['role'] == 'assistant' -%}
    {{- ' ' + m['content'] | trim + eos_token -}}
  {%- endif -%}
  {%- set ns.turn = ns.turn + 1 -%}
{%- endfor -%}
"""

BLOCKS = """\
{%- if messages[0].role == 'system' %}
    {%- set head = messages[0].content %}
    {%- set rest = messages[1:] %}
{%- else %}
    {%- set head = 'You are a careful assistant.' %}
    {%- set rest = messages %}
{%- endif %}
<|begin|>system
{{ head }}
{%- if tools %}


# Tools
{%- for tool in tools %}

{{ loop.index }}/{{ loop.length }} {{ tool | tojson }}
{%- endfor %}
{%- endif %}<|end|>
{% for m in rest %}
    {% if m.role == 'tool' %}
        {% if loop.first or rest[loop.index0 - 1].role != 'tool' %}
<|begin|>user
        {% endif %}
<result>{{ m.content }}</result>
        {% if loop.last or rest[loop.index0 + 1].role != 'tool' %}
<|end|>
        {% endif %}
    {% else %}
<|begin|>{{ m.role }}
        {% if m.content is string %}
{{ m.content }}
        {%- elif m.content is not none %}
            {%- for part in m.content %}
                {%- if part.type == 'text' %}
{{ part.text }}
                {%- else %}
{{ '<' ~ part.type ~ '>' }}
                {%- endif %}
            {%- endfor %}
        {%- endif %}
        {%- for call in m.tool_calls or [] %}

<call>{"name": {{ call.function.name | tojson }}, "arguments": {{ call.function.arguments | tojson }}}</call>
        {%- endfor %}
<|end|>
    {% endif %}
{% endfor %}
{% if add_generation_prompt %}
<|begin|>assistant
{% if enable_thinking is defined and not enable_thinking %}
<think>

</think>

{% endif %}
{% endif %}
"""

DATED = """\
{%- macro field(name, value, indent=2) -%}
{{ name | upper }}: {{ value | string | indent(indent) }}
{% endmacro -%}
{%- set reasoning = reasoning_effort | default('medium') -%}
{{- bos_token + '<|system|>' -}}
{{ field('date', strftime_now('%Y-%m-%d')) -}}
{{ field('clock', strftime_now('%d %b %Y, %H:%M')) -}}
{{ field('reasoning', reasoning) -}}
{%- if documents -%}
{%- for d in documents | sort(attribute='title') -%}
{{ field('document ' ~ loop.index, d.title ~ '\\n' ~ d.text) -}}
{%- endfor -%}
{%- endif -%}
{%- set allowed = {'user': '<|user|>', 'assistant': '<|assistant|>', 'developer': '<|dev|>'} -%}
{%- for m in messages -%}
{%- if m.role not in allowed -%}
{{ raise_exception('Unknown role ' + m.role) }}
{%- endif -%}
{%- set text = m.content.split('</think>')[-1].lstrip('\\n') if m.role == 'assistant' else m.content -%}
{{ allowed[m.role] }}
{%- if m.role == 'assistant' -%}
{% generation %}{{ text }}{{ eos_token }}{% endgeneration %}
{%- else -%}
{{ text }}
{%- endif -%}
{{ '\\n' if not loop.last }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '\\n' + allowed['assistant'] }}{%- endif -%}
"""

TOOLS = """\
{%- set ns = namespace(last=-1) -%}
{%- for m in messages -%}{%- if m.role == 'user' -%}{%- set ns.last = loop.index0 -%}{%- endif -%}{%- endfor -%}
{%- for m in messages -%}
{%- if loop.index0 == ns.last and tools is defined and tools is not none -%}
[TOOLS]{{ tools | map(attribute='function') | list | tojson(indent=2) }}[/TOOLS]
{%- endif -%}
{%- if m.role == 'user' -%}[U]{{ m.content }}[/U]
{%- elif m.tool_calls is defined -%}
{%- for c in m.tool_calls -%}
[CALL]{{ c.function.name }}(
{%- for key, value in c.function.arguments.items() -%}
{{ key }}={{ value if value is string else value | tojson }}{{ ', ' if not loop.last }}
{%- endfor -%}
)[/CALL]
{%- endfor -%}
{%- else -%}[A]{{ m.content | replace('\\r\\n', '\\n') }}[/A]
{%- endif -%}
{%- endfor -%}
{%- if messages[-1]['role'] != 'assistant' and add_generation_prompt -%}[A]{%- endif -%}
"""

ASK = {"role": "user", "content": "  What is 2 < 3 & 'x'?  "}
SAID = {"role": "assistant", "content": "True.\n"}
SYSTEM = {"role": "system", "content": " Be brief. "}
WEATHER = {"type": "function", "function": {
    "name": "weather", "description": "Wetter f\u00fcr eine Stadt <b>\u2603</b>", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city"]}}}
CLOCK = {"type": "function", "function": {"name": "clock", "parameters": {}}}
CALL = {"role": "assistant", "content": None, "tool_calls": [
    {"type": "function", "function": {
        "name": "weather", "arguments": {"city": "K\u00f6ln \"Mitte\"", "days": 2, "celsius": True,
                                         "box": [1.5, None]}}},
    {"type": "function", "function": {"name": "clock", "arguments": {}}}]}
RESULTS = [{"role": "tool", "content": "12 \u00b0C"}, {"role": "tool", "content": "07:05"}]
PARTS = {"role": "user", "content": [
    {"type": "text", "text": "Look:"}, {"type": "image"}, {"type": "text", "text": "What is it?"}]}
THOUGHT = {"role": "assistant", "content": "<think>\nhm\n</think>\n\nFour."}
DOCUMENTS = [{"title": "Zebra", "text": "stripes"}, {"title": "Ant", "text": "six\nlegs"}]

FIXTURES = {
    "roles": dict(file=False, template=ROLES, special=dict(
        bos_token={"__type": "AddedToken", "content": "<s>", "lstrip": False, "rstrip": False,
                   "normalized": False, "single_word": False, "special": True},
        eos_token="</s>"), cases=[
            ("one turn", dict(messages=[ASK])),
            ("system and turns", dict(messages=[SYSTEM, ASK, SAID, ASK])),
            ("two systems", dict(messages=[SYSTEM, ASK, SAID, SYSTEM, ASK])),
            ("not alternating", dict(messages=[ASK, ASK])),
            ("starts with assistant", dict(messages=[SAID]))]),
    "blocks": dict(file=True, template=BLOCKS, special=dict(bos_token=None, eos_token="<|end|>"),
                   cases=[
        ("default system", dict(messages=[ASK], add_generation_prompt=True)),
        ("no prompt", dict(messages=[SYSTEM, ASK, SAID])),
        ("no thinking", dict(messages=[ASK], add_generation_prompt=True, enable_thinking=False)),
        ("thinking", dict(messages=[ASK], add_generation_prompt=True, enable_thinking=True)),
        ("tools", dict(messages=[SYSTEM, ASK, CALL, *RESULTS], tools=[WEATHER, CLOCK],
                       add_generation_prompt=True)),
        ("parts", dict(messages=[PARTS], add_generation_prompt=True))]),
    "dated": dict(file=True, template=DATED, special=dict(
        bos_token="<|start|>", eos_token="<|stop|>"), cases=[
            ("date", dict(messages=[ASK], add_generation_prompt=True)),
            ("thought removed", dict(messages=[ASK, THOUGHT, ASK], add_generation_prompt=True,
                                     reasoning_effort="high")),
            ("documents", dict(messages=[{"role": "developer", "content": "Cite."}, ASK],
                               documents=DOCUMENTS)),
            ("unknown role", dict(messages=[SYSTEM, ASK]))]),
    "named": dict(file=False, template={"default": "{% for m in messages %}{{ m.content }}\n"
                                        "{% endfor %}", "tool_use": TOOLS},
                  special=dict(bos_token="<s>", eos_token="</s>"), cases=[
        ("default without tools", dict(messages=[ASK, SAID])),
        ("tool_use with tools", dict(messages=[ASK, CALL, SAID, ASK], tools=[WEATHER],
                                     add_generation_prompt=True)),
        ("tool_use by name", dict(messages=[{"role": "user", "content": "a"}, {
            "role": "assistant", "content": "b\r\nc"}], chat_template="tool_use"))]),
}

SNIPPETS = [
    "{{ [1, 2, 3][::-1] }} {{ 'abc'[1:] }} {{ 'abc'[-1] }} {{ [1, 2, 3][:-1] }} {{ 'a\U0001f600b'[1:2] }}",
    "{{ 7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ -7 // 2 }} {{ 2 ** 10 }} {{ 1 + 2 * 3 }} {{ -2 | abs }}",
    "{{ '1' == 1 }} {{ 1 == 1.0 }} {{ true == 1 }} {{ (1 < 2) == (2 < 3) }} {{ [1, {'a': 2}] == [1.0, {'a': 2}] }}",
    "{{ none }} {{ true }} {{ 1.0 }} {{ 10.0 ** 20 }} {{ 0.00001 }} {{ 123456.789 }} {{ 3 / 1 }} {{ 0.1 + 0.2 }}",
    "{{ {'a': [1, 'x', none, true, \"it's\"]} }} {{ [] }} {{ 'a' 'b' }}",
    "{{ x is none }} {{ x is defined }} {{ tools is defined }} {{ tools is none }} {{ [1][5] is defined }}",
    "{% if 'false' %}T{% endif %}{% if ' ' %}T{% endif %}{% if 0.0 %}T{% endif %}{% if [] %}T{% endif %}",
    "{{ 1 and 'x' }} {{ '' or 'y' }} {{ not '' }} {{ ('a' if false) ~ 'b' }} {{ 1 if (2 if 0) else 3 }} {{ none ~ 'x' }}",
    "{{ ' a b '.strip() }}|{{ 'xaxx'.strip('x') }}|{{ 'a  b c'.split() }}|{{ 'a  b c '.split(none, 1) }}",
    "{{ 'a,b,c'.split(',', 1) }} {{ 'a,b,c'.rsplit(',', 1) }} {{ 'aXbX'.replace('X', '', 1) }}",
    "{{ \"it's a-b\".title() }} {{ \"it's a-b\" | title }} {{ 'aBC' | capitalize }} {{ 'abc'.find('c') }}",
    "{{ 'abc'.startswith('ab') }} {{ 'abc'.endswith(('x', 'c')) }} {{ 'b' in 'abc' }} {{ 1 not in [2] }}",
    "{% for k, v in {'b': 1, 'a': 2}.items() %}{{ k }}{{ v }}{% endfor %}{{ {'a': 1} | dictsort | tojson }}",
    "{% for i in [1, 2, 3] %}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.revindex }};{% endfor %}",
    "{% for i in range(5) %}{% if i == 1 %}{% continue %}{% elif i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "{% for i in [] %}{% else %}none{% endfor %}{% for c in 'abc' %}{{ c }}{{ loop.cycle('-', '+') }}{% endfor %}",
    "{% set x = 1 %}{% for i in [1] %}{% set x = 2 %}{% endfor %}{{ x }}{% if 1 %}{% set x = 3 %}{% endif %}{{ x }}",
    "{% set a, b = 1, 'x' %}{{ a }}{{ b }}{% set c %}<{{ a }}>{% endset %}{{ c }}",
    "{{ [3, 1, 2] | sort }} {{ ['b', 'A'] | sort }} {{ [1, 1, 2] | unique | list }} {{ [1, 2] | sum }}",
    "{{ [{'a': 1}, {'a': 2}, {}] | selectattr('a', 'defined') | map(attribute='a') | join('+') }}",
    "{{ [0, 1, 2] | select | list }} {{ [1, 2, 3] | reject('equalto', 2) | list }} {{ ['a'] | map('upper') | list }}",
    "{{ 'a\\tb\\\\n\\u00e9' }} {{ {'a': '\\n<\\x01\u00e9'} | tojson }} {{ '\u00e9' | tojson(ensure_ascii=true) }}",
    "{{ [1.0, 0.0000001] | tojson }} {{ [] | tojson(indent=2) }} {{ {'b': 1, 'a': {}} | tojson(sort_keys=true, indent=1) }}",
    "{{ [1, 2] | tojson(separators=(',', ':')) }} {{ '12' | int + 1 }} {{ 'x' | int(5) }} {{ 2.5 | round }} {{ 3.7 | int }}",
    "{% macro f(a, b='-') %}{{ a }}{{ b }}{% endmacro %}{{ f(1) }}{{ f(1, b=2) }}{{ f() }}",
    "  {# note #}\n  {% if 1 %}  \n  a {%- if 1 %}\n b{% endif %}\n  {% endif %}\n{{ 1 }}\n  {{- 2 }}\n\n",
    "{{ messages[0]['role'] ~ messages | length }} {{ messages[0].get('x', 'y') }} {{ messages[0].get('x') }}",
    "{{ {'items': 1}['items'] }} {{ {'x': 1} | items | list | length }} {{ 'a\nb\n'.splitlines() }} {{ 'aa'.count('a') }}",
    "{{ 'a' is string and {} is mapping and [] is iterable }} {{ 4 is even }} {{ 3 is odd }} {{ true is number }} {{ {} is iterable }} {{ 1 is not string }}",
    "{% for i in range(3) %}{{ i }}{% if i == 1 %}{% break %}{% endif %}{% if x is defined %}!{% endif %}{% set x = 1 %}{% endfor %}",
    "{% set s = {'items': {'type': 'string'}, 'get': 1} %}{% for k, v in s.items() %}{{ k }}{{ v }}{% endfor %}{{ s['items'].type }}{{ s.items is defined }}",
    "{{ 'a\n\nb' | indent(2, true) }} {{ 'x' | default('d') }} {{ y | d('d') }} {{ '' | default('d', true) }} {{ [1, 2] | last }}",
]


class Stopped(datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


def render(tokenizer, arguments):
    try:
        return {"expected": tokenizer.apply_chat_template(
            conversation=arguments["messages"], tokenize=False,
            **{k: v for k, v in arguments.items() if k != "messages"})}
    except jinja2.exceptions.TemplateError as e:
        return {"error": str(e)}


def main():
    root = Path(sys.argv[1])
    chat_template_utils.datetime = Stopped
    for name, fixture in FIXTURES.items():
        folder = root / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        special = {k: v["content"] if isinstance(v, dict) else v
                   for k, v in fixture["special"].items()}
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=Tokenizer(models.WordLevel({"a": 0}, unk_token="a")),
            chat_template=fixture["template"], **special)
        config = dict(fixture["special"], tokenizer_class="PreTrainedTokenizerFast",
                      model_max_length=128)
        if fixture["file"]:
            (folder / "chat_template.jinja").write_text(fixture["template"])
        elif isinstance(fixture["template"], dict):
            config["chat_template"] = [
                {"name": k, "template": v} for k, v in fixture["template"].items()]
        else:
            config["chat_template"] = fixture["template"]
        (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
        cases = [dict(name=n, **a, **render(tokenizer, a)) for n, a in fixture["cases"]]
        (folder / "cases.json").write_text(json.dumps(
            {"now": NOW.isoformat(), "cases": cases}, indent=2, ensure_ascii=False) + "\n")
    (root / "snippets.json").write_text(json.dumps([
        {"template": t, "expected": chat_template_utils.render_jinja_template(
            [[{"role": "user", "content": "Hi"}]], chat_template=t)[0][0]}
        for t in SNIPPETS], indent=2) + "\n")


if __name__ == "__main__":
    main()
