package org.moe4j.models.chat;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.MoeException;
import org.mozilla.javascript.Context;
import org.mozilla.javascript.LambdaFunction;
import org.mozilla.javascript.Script;
import org.mozilla.javascript.Scriptable;
import org.mozilla.javascript.ScriptableObject;

/**
 * A Jinja template as the library {@code @huggingface/jinja} runs it, with Python's values; the
 * library's JavaScript is executed in a {@link Sandbox}.
 */
final class Jinja {
  private static final int DEEPEST_DATA = 200;
  private static final double MOST_EXACT = 0x1p53;
  private static final Sandbox SANDBOX = new Sandbox();

  /** Some twenty times what the longest published templates take with a long conversation. */
  private static final Sandbox.Limits RENDER = new Sandbox.Limits(200_000_000, 512 << 20);

  private static final long STEPS_PER_CHARACTER = 10_000;
  private static final long BYTES_PER_CHARACTER = 60_000;

  /** The library and what makes it Python's, in the order they are evaluated. */
  private static final List<String> SCRIPTS =
      List.of("jinja.js", "limits.js", "values.js", "statements.js", "filters.js", "render.js");

  private final ScriptableObject scope;
  private final Object parsed;

  private Jinja(ScriptableObject scope, Object parsed) {
    this.scope = scope;
    this.parsed = parsed;
  }

  /**
   * Reads a template.
   *
   * @throws MoeException if it is not valid
   */
  static Jinja parse(String source) {
    List<Script> compiled = Compiled.SCRIPTS;
    ScriptableObject scope = SANDBOX.run(RENDER, context -> library(context, compiled));
    // The library reads a template in time proportional to its length.
    Sandbox.Limits limits =
        new Sandbox.Limits(
            RENDER.steps() + STEPS_PER_CHARACTER * source.length(),
            RENDER.bytes() + BYTES_PER_CHARACTER * source.length());
    return SANDBOX.run(
        limits, context -> new Jinja(scope, call(context, scope, "parsedTemplate", source)));
  }

  /** Read once, when the first template is. */
  private static final class Compiled {
    private static final List<Script> SCRIPTS =
        SANDBOX.run(
            RENDER,
            context ->
                Jinja.SCRIPTS.stream()
                    .map(name -> context.compileString(read(name), name, 1, null))
                    .toList());
  }

  private static ScriptableObject library(Context context, List<Script> compiled) {
    ScriptableObject scope = context.initSafeStandardObjects();
    context.evaluateString(scope, "var module = {exports: {}};", "module", 1, null);
    compiled.forEach(script -> script.exec(context, scope, scope));
    return scope;
  }

  private static String read(String name) {
    try (InputStream in = Jinja.class.getResourceAsStream(name)) {
      if (in == null) {
        throw new IllegalStateException(name + " is missing from the jar");
      }
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
  }

  private static Object call(Context context, Scriptable scope, String name, Object... arguments) {
    return ScriptableObject.callMethod(context, scope, name, arguments);
  }

  /**
   * The text the template makes.
   *
   * @param variables plain data: strings, numbers, flags, nulls, lists and maps
   * @param now the time in a format of Python's {@code strftime}
   * @throws MoeException if the template refuses, fails or exceeds a limit
   */
  synchronized String render(
      Map<String, ? extends @Nullable Object> variables, UnaryOperator<String> now) {
    return SANDBOX.run(
        RENDER,
        context -> {
          List<Object> pairs = new ArrayList<>();
          variables.forEach(
              (name, value) -> {
                pairs.add(name);
                pairs.add(value(context, value, 0));
              });
          LambdaFunction clock =
              new LambdaFunction(
                  scope, "now", 1, (cx, in, self, given) -> now.apply(Context.toString(given[0])));
          Object made = call(context, scope, "rendered", parsed, list(context, pairs), clock);
          return Context.toString(made);
        });
  }

  private Object value(Context context, @Nullable Object value, int depth) {
    if (depth > DEEPEST_DATA) {
      throw new MoeException("the messages are nested deeper than " + DEEPEST_DATA);
    }
    return switch (value) {
      case null -> made(context, "none", null);
      case String text -> made(context, "text", text);
      case Boolean flag -> made(context, "flag", flag);
      case Double number -> made(context, "real", number);
      case Float number -> made(context, "real", number.doubleValue());
      case Number number -> made(context, "whole", exact(number));
      case List<?> items -> {
        List<Object> values = new ArrayList<>();
        items.forEach(item -> values.add(value(context, item, depth + 1)));
        yield made(context, "list", list(context, values));
      }
      case Map<?, ?> entries -> {
        List<Object> pairs = new ArrayList<>();
        entries.forEach(
            (name, entry) -> {
              pairs.add(String.valueOf(name));
              pairs.add(value(context, entry, depth + 1));
            });
        yield call(context, scope, "mapping", list(context, pairs));
      }
      default ->
          throw new MoeException(
              "a template takes plain data, not a " + value.getClass().getSimpleName());
    };
  }

  private Object made(Context context, String kind, @Nullable Object value) {
    return ScriptableObject.callMethod(
        context, scope, "pythonValue", new @Nullable Object[] {kind, value});
  }

  private static double exact(Number number) {
    double exact = number.doubleValue();
    if (!(Math.abs(exact) <= MOST_EXACT)) {
      throw new MoeException(
          "the number " + number + " is beyond 2^53, which templates cannot take");
    }
    return exact;
  }

  private Scriptable list(Context context, List<Object> items) {
    return context.newArray(scope, items.toArray());
  }
}
