"""The rules that BUILD files use. They add our warnings and link flags, so that a BUILD file names only its own facts.

    load("//tools/bzl:defs.bzl", "outrigger_cc_library", "outrigger_cc_test")

    outrigger_cc_library(
        name = "http",
        srcs = ["head.cc"],
        hdrs = ["head.h"],
        visibility = ["//proxy:__subpackages__"],
        deps = ["//proxy/base"],
    )

    outrigger_cc_test(
        name = "head_test",
        srcs = ["head_test.cc"],
        deps = [":http"],
    )
"""

# Warnings are errors for our own code; system and third-party headers come by -isystem and stay silent.
_COPTS = [
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wextra-semi",
    "-Wmissing-declarations",
    "-Wnon-virtual-dtor",
    "-Woverloaded-virtual",
    "-Wshadow=local",
    "-Wsuggest-override",
    "-Wvla",
    # gcc 12 raises these two without cause inside std::string (its bug 105651) and std::optional.
    "-Wno-restrict",
    "-Wno-maybe-uninitialized",
]

# Compiling tests, not running them, is what takes long; a slow one asks for copts = ["-O2"].
_TEST_COPTS = select({
    "//tools/bzl:sanitized": ["-O0"],
    "//conditions:default": ["-O1"],
})

_CXX_RUNTIME = "//tools/third_party:cxx_runtime"

def outrigger_cc_library(name, copts = [], **kwargs):
    native.cc_library(
        name = name,
        copts = _COPTS + copts,
        linkstatic = True,  # nobody links the shared twin that bazel would build
        **kwargs
    )

def outrigger_cc_binary(name, copts = [], deps = [], testonly = False, **kwargs):
    """A program; with it comes NAME_loads_test, which checks that it needs nothing but the C library."""
    native.cc_binary(
        name = name,
        copts = _COPTS + copts,
        deps = deps + [_CXX_RUNTIME],
        testonly = testonly,
        **kwargs
    )
    if not testonly:
        native.sh_test(
            name = name + "_loads_test",
            size = "small",
            srcs = ["//tools/bzl:loads_test.sh"],
            args = ["$(rootpath :%s)" % name],
            data = [":" + name],
            tags = ["no_sanitizer"],
        )

def outrigger_cc_test(name, copts = [], deps = [], size = "small", main = True, **kwargs):
    """A GoogleTest program, gmock included. `main = False` when srcs bring a main() of their own.

    Tags: "tsan" runs it under --config=tsan too (tools/test --tsan), "no_sanitizer" leaves it out under asan."""
    native.cc_test(
        name = name,
        size = size,
        copts = _COPTS + _TEST_COPTS + copts,
        deps = deps + [
            "//tools/third_party:gmock",
            "//tools/third_party:" + ("gtest" if main else "gtest_no_main"),
            _CXX_RUNTIME,
        ],
        **kwargs
    )

def outrigger_process_test(name, src, data = [], size = "medium", tags = [], **kwargs):
    """A Python unittest file that runs the real programs on real sockets (test/process), with a network of its own where
    the sandbox can make one. Cases are counted one by one."""
    native.sh_test(
        name = name,
        size = size,
        srcs = ["//tools/bzl:run_python.py"],
        args = ["$(rootpath %s)" % src],
        data = [
            src,
            "//control/main:outrigger-control",
            "//proxy/main:outrigger-proxy",
            "//tools/cli:outrigger",
        ] + data,
        tags = ["block-network"] + tags,
        **kwargs
    )

def outrigger_proto_library(name, srcs, root = ".", visibility = None):
    """Protobuf messages as C++, in one target.

    Args:
      name: the C++ target.
      srcs: .proto files, under `root` (relative to the package).
      root: the folder that import paths start from, "." for the package itself.
      visibility: as usual.
    """
    prefix = "" if root == "." else root + "/"
    stems = [src[len(prefix):-len(".proto")] for src in srcs]
    heads = ["%s_gen/%s.pb.h" % (name, stem) for stem in stems]
    bodies = ["%s_gen/%s.pb.cc" % (name, stem) for stem in stems]

    native.genrule(
        name = name + "_generate",
        srcs = srcs,
        outs = heads + bodies,
        cmd = "protoc -I{dir} --cpp_out=$(RULEDIR)/{name}_gen {files}".format(
            dir = native.package_name() + ("" if root == "." else "/" + root),
            name = name,
            files = " ".join(["%s.proto" % stem for stem in stems]),
        ),
        message = "Generating C++ from %d proto files of" % len(srcs),
    )
    native.cc_library(
        name = name,
        srcs = bodies,
        hdrs = heads,
        # Reached by -isystem, so warnings in generated headers stay out of our code.
        includes = [name + "_gen"],
        # Configuration code: size before speed, and no sanitizer, as for all code that is not ours.
        copts = [
            "-w",
            "-Os",
            "-fno-sanitize=all",
        ],
        linkstatic = True,
        visibility = visibility,
        deps = ["//tools/third_party:protobuf"],
        # A type that is reached only through an Any would be dropped by the linker.
        alwayslink = True,
    )
