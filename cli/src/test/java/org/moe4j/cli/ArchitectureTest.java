package org.moe4j.cli;

import static com.tngtech.archunit.base.DescribedPredicate.describe;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.assignableTo;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAPackage;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.Architectures.layeredArchitecture;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.library.dependencies.SliceAssignment;
import com.tngtech.archunit.library.dependencies.SliceIdentifier;
import java.security.SecureRandom;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.SplittableRandom;
import java.util.UUID;
import java.util.concurrent.ThreadLocalRandom;
import org.junit.jupiter.api.Test;
import org.moe4j.engine.CacheType;
import org.moe4j.engine.EngineException;
import org.moe4j.engine.EngineOptions;

/** The rules between and inside the modules; the command line sees them all. */
class ArchitectureTest {
  private static final JavaClasses CLASSES =
      new ClassFileImporter()
          .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
          .importPackages("org.moe4j");

  private static final String[] AROUND_CORE = {
    "org.moe4j.tensor..",
    "org.moe4j.models..",
    "org.moe4j.train..",
    "org.moe4j.lab..",
    "org.moe4j.engine..",
    "org.moe4j.cli.."
  };

  private static final DescribedPredicate<JavaClass> CORE =
      resideInAPackage("org.moe4j..")
          .and(DescribedPredicate.not(resideInAnyPackage(AROUND_CORE)))
          .as("the core");

  /** Plain values of the engine's package, which its parts take and throw. */
  private static final DescribedPredicate<JavaClass> ENGINE_VALUES =
      assignableTo(EngineException.class)
          .or(assignableTo(EngineOptions.class))
          .or(assignableTo(CacheType.class));

  @Test
  void modulesDependDownwardOnly() {
    layeredArchitecture()
        .consideringOnlyDependenciesInAnyPackage("org.moe4j..")
        .layer("tensor")
        .definedBy("org.moe4j.tensor..")
        .layer("core")
        .definedBy(CORE)
        .layer("models")
        .definedBy("org.moe4j.models..")
        .layer("train")
        .definedBy("org.moe4j.train..")
        .layer("engine")
        .definedBy("org.moe4j.engine..")
        .layer("lab")
        .definedBy("org.moe4j.lab..")
        .layer("cli")
        .definedBy("org.moe4j.cli..")
        .whereLayer("cli")
        .mayNotBeAccessedByAnyLayer()
        .whereLayer("lab")
        .mayOnlyBeAccessedByLayers("cli")
        .whereLayer("train")
        .mayOnlyBeAccessedByLayers("lab", "cli")
        .whereLayer("models")
        .mayOnlyBeAccessedByLayers("train", "lab", "cli")
        .whereLayer("core")
        .mayOnlyBeAccessedByLayers("models", "train", "lab", "cli")
        .whereLayer("engine")
        .mayOnlyBeAccessedByLayers("models", "train", "cli")
        .whereLayer("tensor")
        .mayOnlyBeAccessedByLayers("core", "models", "train", "lab", "cli")
        .check(CLASSES);
  }

  /** A jar of its own: the engine uses neither the other modules nor anything beyond the JDK. */
  @Test
  void theEngineStandsAlone() {
    noClasses()
        .that()
        .resideInAPackage("org.moe4j.engine..")
        .should()
        .dependOnClassesThat(
            DescribedPredicate.not(
                    resideInAnyPackage(
                        "org.moe4j.engine..",
                        "java..",
                        "jdk.incubator..",
                        "com.sun.management..",
                        "org.jspecify..",
                        ""))
                .as("something beside the JDK"))
        .check(CLASSES);
  }

  @Test
  void packagesAreFreeOfCycles() {
    SliceAssignment packages =
        new SliceAssignment() {
          @Override
          public SliceIdentifier getIdentifierOf(JavaClass type) {
            return SliceIdentifier.of(type.getPackageName());
          }

          @Override
          public String getDescription() {
            return "packages";
          }
        };
    slices()
        .assignedFrom(packages)
        .should()
        .beFreeOfCycles()
        .ignoreDependency(DescribedPredicate.alwaysTrue(), ENGINE_VALUES)
        .check(CLASSES);
  }

  @Test
  void onlyTheTensorModuleTouchesLibtorch() {
    noClasses()
        .that()
        .resideOutsideOfPackage("org.moe4j.tensor..")
        .should()
        .dependOnClassesThat()
        .resideInAPackage("org.bytedeco..")
        .check(CLASSES);
  }

  @Test
  void theCoreReadsNoFilesFormats() {
    noClasses()
        .that(CORE)
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage("tools.jackson..", "com.fasterxml..")
        .check(CLASSES);
  }

  /** Randomness is injected: from a seeded source, never from one that differs from run to run. */
  @Test
  void nothingIsRandomByItself() {
    DescribedPredicate<JavaClass> unseeded =
        describe(
            "a source of randomness without a seed",
            type ->
                List.of(Random.class, SecureRandom.class, ThreadLocalRandom.class).stream()
                    .anyMatch(type::isEquivalentTo));
    noClasses()
        .should()
        .dependOnClassesThat(unseeded)
        .orShould()
        .callMethod(Math.class, "random")
        .orShould()
        .callMethod(UUID.class, "randomUUID")
        .orShould()
        .callMethod(Collections.class, "shuffle", List.class)
        .orShould()
        .callConstructor(SplittableRandom.class)
        .check(CLASSES);
  }

  @Test
  void onlyTheCommandLineEndsTheProcessOrPrints() {
    noClasses()
        .that()
        .resideOutsideOfPackage("org.moe4j.cli..")
        .should()
        .callMethod(System.class, "exit", int.class)
        .orShould()
        .callMethod(Runtime.class, "exit", int.class)
        .orShould()
        .callMethod(Runtime.class, "halt", int.class)
        .orShould()
        .accessField(System.class, "out")
        .orShould()
        .accessField(System.class, "err")
        .orShould()
        .callMethod(Throwable.class, "printStackTrace")
        .check(CLASSES);
  }
}
