package org.moe4j.models.gguf;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.moe4j.engine.gguf.GgmlType;
import org.moe4j.models.hf.LoadProgress;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Safetensors;
import org.moe4j.tensor.Scope;

/**
 * Converts every checkpoint of the tests that has an architecture, with its first prompt beside it,
 * for {@code src/test/python/greedy_exports.mjs}: {@code Exports FOLDER TYPE}.
 */
final class Exports {
  private Exports() {}

  static List<Path> checkpoints() {
    return Stream.of("/families").flatMap(r -> folders(resource(r)).stream()).toList();
  }

  static Path resource(String name) {
    try {
      return Path.of(Objects.requireNonNull(Exports.class.getResource(name)).toURI());
    } catch (java.net.URISyntaxException e) {
      throw new IllegalStateException(e);
    }
  }

  private static List<Path> folders(Path root) {
    try (Stream<Path> all = Files.list(root)) {
      return all.filter(Files::isDirectory)
          .filter(f -> !f.getFileName().toString().startsWith("switch"))
          .sorted()
          .toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static int[] ids(Path checkpoint, String name) {
    try (Scope scope = Scope.open();
        Safetensors file = Safetensors.open(checkpoint.resolve("expected.safetensors"))) {
      return Arrays.stream(file.load(name).toLongs()).mapToInt(Math::toIntExact).toArray();
    }
  }

  @SuppressWarnings("SystemOut") // a program of its own
  public static void main(String[] args) throws IOException {
    Path to = Path.of(args[0]);
    GgmlType type = GgmlType.valueOf(args[1]);
    Files.createDirectories(to);
    for (Path from : checkpoints()) {
      Path file = to.resolve(from.getFileName() + ".gguf");
      Files.deleteIfExists(file);
      try {
        GgufExport.Result made = GgufExport.run(from, file, type, LoadProgress.NONE);
        System.out.println(from.getFileName() + ": " + made);
        String prompts =
            Stream.of("prompt.0", "prompt.1")
                .map(p -> Arrays.stream(ids(from, p)))
                .map(s -> s.mapToObj(String::valueOf).collect(Collectors.joining(" ")))
                .collect(Collectors.joining("\n"));
        Files.writeString(to.resolve(from.getFileName() + ".prompts"), prompts + "\n");
      } catch (MoeException e) {
        System.out.println(e.getMessage());
      }
    }
  }
}
