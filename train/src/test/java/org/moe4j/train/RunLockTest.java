package org.moe4j.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.moe4j.tensor.MoeException;

class RunLockTest {
  @TempDir private Path runs;

  /** Holds the lock of the folder it is given until it is killed. */
  static final class Holder {
    public static void main(String[] args) throws Exception {
      RunLock.acquire(Path.of(args[0]));
      System.out.println("locked");
      new java.util.concurrent.CountDownLatch(1).await();
    }
  }

  @Test
  void aFolderIsLockedOnceAndFreeAfterwards() {
    Path run = runs.resolve("a/b");
    RunLock lock = RunLock.acquire(run);
    assertThatThrownBy(() -> RunLock.acquire(run)).isInstanceOf(MoeException.class);
    RunLock.acquire(runs.resolve("other")).close();
    lock.close();
    RunLock.acquire(run).close();
  }

  @Test
  void anotherProcessIsNamedAndItsDeathFreesTheFolder() throws Exception {
    Path run = runs.resolve("used");
    Process holder =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-cp",
                System.getProperty("java.class.path"),
                Holder.class.getName(),
                run.toString())
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    try (BufferedReader out = holder.inputReader(StandardCharsets.UTF_8)) {
      assertThat(out.readLine()).isEqualTo("locked");
      assertThatThrownBy(() -> RunLock.acquire(run))
          .isInstanceOf(MoeException.class)
          .hasMessage(
              run
                  + ": in use by another run (process "
                  + holder.pid()
                  + "); wait for it to end, or choose another run.name");
    } finally {
      holder.destroyForcibly().waitFor();
    }
    RunLock.acquire(run).close();
  }

  @Test
  void aFolderThatCannotBeMadeIsNamed() throws IOException {
    Path file = Files.createFile(runs.resolve("file"));
    assertThatThrownBy(() -> RunLock.acquire(file))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining(file.toString());
  }
}
