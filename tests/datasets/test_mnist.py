"""MNIST and Fashion-MNIST as images and as sequences, real ones and small ones made here."""

import numpy as np
import pytest

from numsnn.datasets import mnist
from numsnn.formats import FormatError, idx

TRAIN = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]


@pytest.fixture(scope="module")
def real(data_folder):
    folder = data_folder / "mnist"
    if not folder.is_dir():
        pytest.skip(f"no MNIST in {folder}")
    return folder


@pytest.fixture
def small(tmp_path, rng):
    """A folder with 12 images for training."""
    idx.write(tmp_path / "train-images-idx3-ubyte.gz", rng.integers(0, 256, (12, 28, 28), np.uint8))
    idx.write(tmp_path / "train-labels.idx1-ubyte", np.arange(12, dtype=np.uint8) % 10)
    return tmp_path


def test_the_real_images(real):
    train, test = (mnist.images(real, part) for part in ("train", "test"))
    assert [len(p.labels) for p in (train, test)] == [mnist.COUNTS["train"], mnist.COUNTS["test"]]
    assert np.bincount(train.labels).tolist() == TRAIN
    assert train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert abs(train.pixels.mean() / 255 - 0.1307) < 1e-4           # the mean that everybody normalises with
    # a one is thin, a zero has a hole: the rows are rows
    zero, one = (train.pixels[train.labels == digit].mean(0) for digit in (0, 1))
    assert zero[14, 14] < 20 < one[14, 14]


def test_the_real_images_as_sequences(real):
    images = mnist.images(real, "test")
    data = mnist.mnist(real, "test")
    assert data.x.shape == (784, 10000, 1)
    assert data.x.dtype == np.float32
    assert data.x.flags.c_contiguous
    assert (np.round(data.x[:, :, 0].T * 255).astype(np.uint8) == images.pixels.reshape(10000, 784)).all()
    assert (data.y == images.labels).all()
    assert data.classes == tuple("0123456789")
    assert data.name == "MNIST, test, 784 steps"


def test_the_subset_of_fashion_mnist(data_folder):
    folder = data_folder / "fashion_mnist_subset"
    if not folder.is_dir():
        pytest.skip(f"no subset of Fashion-MNIST in {folder}")
    data = mnist.fashion(folder, "subset")
    assert data.x.shape == (28, 900, 28)
    assert np.bincount(data.y).tolist() == [90] * 10
    assert data.classes[9] == "Ankle boot"
    bright = [data.x[:, data.y == k].mean() for k in range(10)]
    assert int(np.argmin(bright)) == mnist.CLOTHES.index("Sandal"), "of a sandal little is to be seen"
    with pytest.raises(FileNotFoundError, match=r"train-images-idx3-ubyte.*must hold.*zalandoresearch"):
        mnist.fashion(folder, "train")


def test_forms_of_a_sequence(small):
    pixels, labels = mnist.images(small, "train")
    flat = pixels.reshape(12, 784).astype(np.float32) / np.float32(255)
    for steps in (784, 28, 1, 16):
        x = mnist.mnist(small, "train", steps).x
        assert x.shape == (steps, 12, 784 // steps)
        assert (x.transpose(1, 0, 2).reshape(12, 784) == flat).all()
    assert (mnist.mnist(small, "train", 28).x[:, 3] == flat[3].reshape(28, 28)).all()
    assert (mnist.mnist(small, "train").y == labels).all()


def test_permuted_sequences(small):
    plain, order = mnist.mnist(small, "train").x, mnist.permutation(3)
    assert sorted(order) == list(range(784))
    assert (order == mnist.permutation(3)).all()
    assert (order != mnist.permutation(4)).any()
    assert (mnist.mnist(small, "train", seed=3).x == plain[order]).all()
    assert "permuted with seed 3" in mnist.mnist(small, "train", seed=3).name


def test_several_pixels_at_once(small):
    plain = mnist.mnist(small, "train", seed=1).x
    x = mnist.mnist(small, "train", seed=1, window=4).x
    assert x.shape == (784, 12, 4)
    for t in (0, 1, 500, 779, 780):
        assert (x[t] == plain[t:t + 4, :, 0].T).all()
    assert (x[781:] == x[780]).all()


def test_what_is_refused(small):
    with pytest.raises(ValueError, match="parts 'train', 'test', 'subset'; got 'valid'"):
        mnist.images(small, "valid")
    for options, message in (({"steps": 27}, "steps must divide the 784 pixels; got 27"),
                             ({"steps": 0}, "steps must divide"),
                             ({"steps": 28, "window": 2}, "for 784 steps only")):
        with pytest.raises(ValueError, match=message):
            mnist.mnist(small, "train", **options)
    with pytest.raises(FileNotFoundError, match=r"no file .*t10k-images-idx3-ubyte.gz \(or without .gz\)"):
        mnist.images(small, "test")
    labels, images = "train-labels.idx1-ubyte", "train-images-idx3-ubyte.gz"
    for name, array, message in (
            (labels, np.zeros(11, np.uint8), "expected 12 labels from 0 to 9; got uint8 of shape"),
            (labels, np.full(12, 10, np.uint8), "up to 10"),
            (images, np.zeros((12, 28, 27), np.uint8), r"expected uint8 images \(28, 28\)"),
            (images, np.zeros((12, 28, 28), np.float32), "got float32")):
        kept = (small / name).read_bytes()
        idx.write(small / name, array)
        with pytest.raises(FormatError, match=message):
            mnist.images(small, "train")
        (small / name).write_bytes(kept)


def test_the_training_part_is_made_without_copies(real):
    """188 MB of sequence, 47 MB of pixels, and what Dataset checks: nothing as large again."""
    from mutations import modest
    with modest(330 << 20):
        data = mnist.mnist(real, "train")
    assert data.x.nbytes == 60000 * 784 * 4
    assert np.bincount(data.y).tolist() == TRAIN


def test_still_images(tmp_path):
    from numsnn.formats import idx
    pixels = np.random.default_rng(0).integers(0, 256, (9, 28, 28)).astype(np.uint8)
    idx.write(tmp_path / "train-images-idx3-ubyte", pixels)
    idx.write(tmp_path / "train-labels-idx1-ubyte", np.arange(9, dtype=np.uint8))
    data = mnist.still(tmp_path, "train", 4)
    batch = next(data[[5, 2]].batches(2))
    assert batch.x.shape == (4, 2, 784) and batch.x.dtype == np.float32 and batch.y.tolist() == [5, 2]
    assert np.array_equal(batch.x[3].reshape(2, 28, 28), pixels[[5, 2]] / np.float32(255))
    with pytest.raises(ValueError, match="positive whole number; got 0"):
        mnist.still(tmp_path, "train", 0)
    with pytest.raises(ValueError, match="name must be 'MNIST' or 'Fashion-MNIST'"):
        mnist.still(tmp_path, "train", name="KMNIST")
