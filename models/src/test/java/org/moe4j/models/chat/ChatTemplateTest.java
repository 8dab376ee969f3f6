package org.moe4j.models.chat;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.moe4j.tensor.MoeException;
import tools.jackson.core.type.TypeReference;
import tools.jackson.databind.json.JsonMapper;

/** Chat templates against the renderings of transformers, and hostile ones. */
class ChatTemplateTest {
  private static final List<Map<String, Object>> ASK =
      List.of(Map.of("role", "user", "content", "Hi"));

  private record Cases(LocalDateTime now, List<Map<String, Object>> cases) {}

  @TestFactory
  Stream<DynamicTest> rendersAsTransformers() {
    return Stream.of("roles", "blocks", "dated", "named")
        .flatMap(
            directory -> {
              Path folder = folder(directory);
              Cases all = new JsonMapper().readValue(folder.resolve("cases.json"), Cases.class);
              Clock clock = Clock.fixed(all.now().toInstant(ZoneOffset.UTC), ZoneOffset.UTC);
              return all.cases().stream()
                  .map(
                      one ->
                          DynamicTest.dynamicTest(
                              directory + ": " + one.get("name"), () -> check(folder, clock, one)));
            });
  }

  private static void check(Path folder, Clock clock, Map<String, Object> one) {
    ChatTemplate template = ChatTemplate.read(folder, clock);
    if (one.get("chat_template") instanceof String name) {
      template = template.named(name);
    }
    Map<String, Object> variables = new HashMap<>(one);
    List<String> own = List.of("name", "messages", "add_generation_prompt", "chat_template");
    variables.keySet().removeAll(own);
    ChatTemplate chosen = template;
    List<Map<String, Object>> messages =
        new JsonMapper().convertValue(one.get("messages"), new TypeReference<>() {});
    boolean prompt = Boolean.TRUE.equals(one.get("add_generation_prompt"));
    if (one.get("error") instanceof String message) {
      assertThatThrownBy(() -> chosen.render(messages, prompt, variables))
          .isInstanceOf(MoeException.class)
          .hasMessageStartingWith(folder.toString())
          .hasMessageEndingWith(": " + message);
    } else {
      assertThat(chosen.render(messages, prompt, variables)).isEqualTo(one.get("expected"));
    }
  }

  private static Path folder(String directory) {
    try {
      return Path.of(
          Objects.requireNonNull(ChatTemplateTest.class.getResource("/chat/" + directory)).toURI());
    } catch (URISyntaxException e) {
      throw new IllegalStateException(e);
    }
  }

  private record Snippet(String template, String expected) {}

  /** Small templates that show where Python's values differ from Java's. */
  @TestFactory
  Stream<DynamicTest> snippetsRenderAsTransformers(@TempDir Path directory) {
    Path file = folder("roles").resolveSibling("snippets.json");
    return Stream.of(new JsonMapper().readValue(file, Snippet[].class))
        .map(
            one ->
                DynamicTest.dynamicTest(
                    one.template(),
                    () ->
                        assertThat(template(directory, one.template()).render(ASK, false))
                            .isEqualTo(one.expected())));
  }

  private static ChatTemplate template(Path folder, String text) throws IOException {
    Files.writeString(folder.resolve("chat_template.jinja"), text);
    return ChatTemplate.read(folder);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{{ range(1000000000) }}",
        "{{ 'x' * 1000000000 }}",
        "{{ [1] * 1000000000 }}",
        "{{ 'x' | indent(1000000000) }}",
        "{{ [1] | tojson(indent=1000000000) }}",
        "{{ ('x' * 999999).replace('x', 'y' * 999999) }}",
        "{% set n = namespace(l=['x']) %}{% for i in range(99) %}{% set n.l = [n.l, n.l] %}"
            + "{% endfor %}{{ n.l }}",
        "{% set n = namespace(l=['x']) %}{% for i in range(99999) %}{% set n.l = [n.l] %}"
            + "{% endfor %}{{ n.l == n.l + [1] }}{{ n.l | tojson }}",
        "{% set n = namespace(l=[]) %}{% for i in range(9999) %}"
            + "{% set n.l = n.l + [('x' * 9999999) | upper] %}{% endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% set n = namespace(s='x') %}{% for i in range(99) %}{% set n.s = n.s + n.s %}{% endfor %}",
      })
  void hostileTemplatesEndInOneLine(String text, @TempDir Path folder) throws IOException {
    ChatTemplate template = template(folder, text);
    assertThatThrownBy(() -> template.render(ASK, true))
        .isInstanceOf(MoeException.class)
        .hasMessageStartingWith(folder.resolve("chat_template.jinja") + ": ")
        .hasMessageNotContainingAny("\n");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{{ 'x' | nosuch }}",
        "{{ messages.nosuch.more }}",
        "{{ java.lang.System.exit(1) }}",
        "{{ 'x'.constructor('return this')() }}",
        "{{ messages.__proto__.constructor.x() }}",
        "{{ 'x'.getClass() }}",
        "{{ 'x'.getBytes() }}",
        "{{ messages.append(1) }}",
        "{{ messages.class.name }}",
        "{{ 'x' is nosuch }}",
        "{% include 'other' %}",
        "{{ 1 / 0 }}",
        "{{ 'x' + 1 }}",
        "{{ nosuch() }}",
        "{{ strftime_now('%Q') }}",
        "{{ 'x' ",
        "{% if true %}",
        "{{ 'x }}",
        "{{ [1, }}",
        "{# no end",
        "{{ raise_exception('two\nlines') }}",
        "{% set messages.x = 1 %}",
        "{% for a, b in [[1]] %}{% endfor %}",
        "{{ 99999999999999999999 }}",
        "{{ 1 < 2 < 3 }}",
        "{{ 1e20 }}",
        "{{ '\\q' }}",
        "{{ 4 is divisibleby 2 }}",
        "{%+ if 1 %}{% endif %}",
        "{{ undefined_variable.field }}"
      })
  void errorsNameTheFileInOneLine(String text, @TempDir Path folder) {
    assertThatThrownBy(() -> template(folder, "first\nsecond\n" + text).render(ASK, true))
        .isInstanceOf(MoeException.class)
        .hasMessageStartingWith(folder.resolve("chat_template.jinja") + ": ")
        .hasMessageNotContainingAny("\n");
  }

  @Test
  void deepNestingIsRefused(@TempDir Path folder) {
    Map<String, String> closing =
        Map.of("(", ")", "[", "]", "not ", "", "-", "", "{'a':", "}", "x[", "]");
    closing.forEach(
        (open, close) -> {
          String text = "\n{{ " + open.repeat(5_000) + "1" + close.repeat(5_000) + " }}";
          assertThatThrownBy(() -> template(folder, text))
              .isInstanceOf(MoeException.class)
              .hasMessageContaining("nested too deeply");
        });
    assertThatThrownBy(() -> template(folder, "{% if 1 %}".repeat(5_000)))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("nested too deeply");
  }

  @Test
  void onlyPlainDataIsTaken(@TempDir Path folder) throws IOException {
    ChatTemplate template = template(folder, "{{ file }}");
    assertThatThrownBy(() -> template.render(ASK, true, Map.of("file", folder)))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("plain data");
  }

  @Test
  void badFoldersAreNamed(@TempDir Path folder) throws IOException {
    assertThatThrownBy(() -> ChatTemplate.read(folder)).hasMessageContaining("no chat template");
    Path config = folder.resolve("tokenizer_config.json");
    for (String text : List.of("{", "[]", "{\"chat_template\": [{\"name\": \"default\"}]}")) {
      Files.writeString(config, text);
      assertThatThrownBy(() -> ChatTemplate.read(folder))
          .isInstanceOf(MoeException.class)
          .hasMessageStartingWith(config.toString());
    }
    assertThatThrownBy(() -> ChatTemplate.read(folder("named")).named("rag"))
        .hasMessageContaining("there are default, tool_use");
  }
}
