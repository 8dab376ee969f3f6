package org.moe4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.io.StringWriter;
import java.lang.reflect.Method;
import java.net.URI;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import javax.tools.JavaCompiler;
import javax.tools.SimpleJavaFileObject;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What the README shows compiles, runs and exists. */
class ReadmeTest {
  private static final Path README = Path.of("..", "README.md");

  @TempDir Path folder;

  @Test
  void theLibraryExampleCompilesAndRuns() throws Exception {
    String example = block("<!-- Example.java -->\n```java\n");
    assertThat(ran("import org.moe4j.*;\nimport org.moe4j.tensor.*;\n", example))
        .startsWith("load max/mean ")
        .hasSizeGreaterThan(16);
  }

  @Test
  void theEnginesExampleCompilesAndRuns() throws Exception {
    Path model =
        Path.of("..", "engine", "src", "test", "resources", "models", "llama-q8_0.gguf")
            .toAbsolutePath();
    String example =
        block("<!-- EngineExample.java -->\n```java\n").replace("model.gguf", model.toString());
    assertThat(
            ran(
                "import java.nio.file.*;\nimport java.util.*;\nimport org.moe4j.engine.*;\n",
                example))
        .containsPattern("(LENGTH|STOP) after \\d+ tokens");
  }

  @Test
  void theExampleOfManyTextsCompilesAndRuns() throws Exception {
    Path model =
        Path.of("..", "engine", "src", "test", "resources", "models", "llama-q8_0.gguf")
            .toAbsolutePath();
    String example =
        block("<!-- BatchExample.java -->\n```java\n").replace("model.gguf", model.toString());
    String imports = "import java.nio.file.*;\nimport java.util.*;\nimport org.moe4j.engine.*;\n";
    assertThat(ran(imports, example).lines())
        .hasSize(2)
        .allMatch(line -> line.matches("(LENGTH|STOP) after \\d+ tokens"));
  }

  /** What an example prints. */
  private String ran(String imports, String example) throws Exception {
    String source =
        imports + "public class Example {\n  public static void run() {\n" + example + "  }\n}\n";
    JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
    StringWriter errors = new StringWriter();
    boolean compiled =
        compiler
            .getTask(
                errors,
                null,
                null,
                List.of("-d", folder.toString(), "-cp", System.getProperty("java.class.path")),
                null,
                List.of(new Source(source)))
            .call();
    assertThat(compiled).as(errors.toString()).isTrue();
    return printed();
  }

  private String printed() throws Exception {
    PrintStream before = System.out;
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try (URLClassLoader loader =
        new URLClassLoader(new URL[] {folder.toUri().toURL()}, getClass().getClassLoader())) {
      System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
      Method run = loader.loadClass("Example").getMethod("run");
      run.invoke(null);
    } finally {
      System.setOut(before);
    }
    return out.toString(StandardCharsets.UTF_8);
  }

  @Test
  void everyCommandShownExists() throws IOException {
    List<String> known =
        Moe.COMMANDS.stream()
            .map(c -> c.getAnnotation(picocli.CommandLine.Command.class).name())
            .toList();
    List<String> shown =
        Files.readString(README)
            .lines()
            .filter(line -> line.startsWith("./moe "))
            .map(line -> line.split(" ", 3)[1])
            .toList();
    assertThat(shown).isNotEmpty().allMatch(known::contains);
  }

  private static String block(String start) throws IOException {
    String text = Files.readString(README);
    int from = text.indexOf(start);
    assertThat(from).as("the README's example").isNotNegative();
    from += start.length();
    return text.substring(from, text.indexOf("```", from));
  }

  private static final class Source extends SimpleJavaFileObject {
    private final String text;

    Source(String text) {
      super(URI.create("string:///Example.java"), Kind.SOURCE);
      this.text = text;
    }

    @Override
    public CharSequence getCharContent(boolean ignoreEncodingErrors) {
      return text;
    }
  }
}
